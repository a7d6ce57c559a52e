"""What tests of training share."""

import pytest

from spotrust_jax.training import loop
from tests.training.runs import compiled_once
from tests.training.small_network import use_it


@pytest.fixture(scope="module")
def small_step():
    """A network that compiles in seconds, without augmentation, for what does not depend on either.

    Runs of one configuration compile it once.
    """
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        patch.setattr(loop, "compile_functions", compiled_once())
        yield
