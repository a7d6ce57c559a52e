"""Calibration of arrays of numpy and of jax against scipy, and back."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logit

from spotrust_jax.calibration.platt import SMALLEST_PROBABILITY, PlattScaling
from spotrust_jax.errors import InputError

PROBABILITIES = np.array([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999], np.float32)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_equals_scipy_in_the_type_that_goes_in(array):
    found = PlattScaling(0.7, -1.9)(array(PROBABILITIES))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expit(0.7 * logit(PROBABILITIES.astype(np.float64)) - 1.9), rtol=2e-5)


def test_certain_probabilities_stay_finite():
    found = PlattScaling(20.0, 20.0)(np.array([0.0, 1.0], np.float32))
    np.testing.assert_allclose(
        found, expit(20 * logit(np.array([SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY])) + 20), atol=1e-30
    )


def test_inverse_takes_it_back():
    calibration = PlattScaling(0.6, -2.0)
    np.testing.assert_allclose(calibration.inverse(calibration(PROBABILITIES.astype(np.float64))), PROBABILITIES)


def test_slope_that_turns_the_order_is_refused():
    with pytest.raises(InputError, match="slope"):
        PlattScaling(-1.0)
