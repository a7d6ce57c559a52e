"""The order of training examples: shares of sites against their formula, and that nothing is seen twice too soon."""

import numpy as np
import pytest

from spotrust_jax.data.example_order import sites_of, training_order
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.errors import InputError

SITES = ("bridge",) * 40 + ("city",) * 10 + ("pipes",) * 5


def _drawn(power: float, count: int, seed: int = 3) -> np.ndarray:
    order = training_order(SITES, seed, power)
    return np.array([order[place] for place in range(count)])


@pytest.mark.parametrize("power", [0.0, 0.5, 0.8])
def test_sites_have_shares_by_the_power_of_their_size(power):
    drawn = _drawn(power, 2000)
    counts = np.array([(drawn < 40).sum(), ((drawn >= 40) & (drawn < 50)).sum(), (drawn >= 50).sum()])
    expected = np.array([40, 10, 5], float) ** power
    np.testing.assert_allclose(counts / 2000, expected / expected.sum(), atol=2e-3)


def test_every_example_of_a_site_comes_before_any_comes_again():
    drawn = _drawn(0.0, 600)
    for first, end in ((0, 40), (40, 50), (50, 55)):
        of_site = drawn[(drawn >= first) & (drawn < end)]
        whole = of_site[: len(of_site) // (end - first) * (end - first)].reshape(-1, end - first)
        assert (np.sort(whole, axis=1) == np.arange(first, end)).all()


def test_without_balance_an_epoch_has_every_example_once():
    drawn = _drawn(1.0, 110)
    assert sorted(drawn[:55]) == sorted(drawn[55:]) == list(range(55))
    assert (drawn[:55] != drawn[55:]).any() and (_drawn(1.0, 55, seed=4) != drawn[:55]).any()


def test_data_set_that_knows_no_sites_is_one_site():
    assert sites_of(SurveySceneDataset("train", 2, 32)) == ("", "")


def test_balance_without_sites_is_refused():
    with pytest.raises(
        InputError, match=r"config\.data\.site_power is 0\.5, but the data set names no sites: add a col"
    ):
        training_order(("",) * 4, 0, 0.5)
