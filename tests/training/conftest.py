"""What tests of training share."""

import pytest

from tests.training.small_network import use_it


@pytest.fixture(scope="module")
def small_step():
    """A network that compiles in seconds, without augmentation, for what does not depend on either."""
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        yield
