"""A few damaged inputs of every program; `python -m tests.mutations --seed=0 --count=400` runs as many as one likes."""

import pytest

from tests.mutations.cases import SCENARIOS, run_case
from tests.mutations.material import write_material
from tests.training.small_network import use_it


@pytest.fixture(scope="module")
def small_network():
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        yield


@pytest.fixture(scope="module")
def material(small_network, tmp_path_factory):
    """Valid input of all programs."""
    return write_material(tmp_path_factory.mktemp("valid") / "material")


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_damaged_input_ends_in_words_and_loses_no_neighbour(number, material, tmp_path):
    folder = tmp_path / "around" / "case"
    folder.mkdir(parents=True)
    case, outcome, wrong = run_case(1, number, material, folder)
    command = f"spotrust {case.program} {' '.join(case.arguments)}"
    assert not wrong, f"{'; '.join(wrong)}: {case.damaged}: {command}\n{outcome.stderr}"
