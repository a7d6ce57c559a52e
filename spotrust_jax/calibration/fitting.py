"""Platt scaling, temperature and threshold, fitted to labelled photographs that a model was not trained on.

A fit takes histograms or rates, never pixels; the checkpoint keeps its result.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64
from scipy.optimize import minimize
from scipy.special import expit, logit

from spotrust_jax.calibration.conformal import needed_groups
from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.calibration.platt import SMALLEST_PROBABILITY, PlattScaling
from spotrust_jax.errors import InputError

# Slopes that a fit may have. None below: probabilities would no longer grow with the network's.
_SLOPES = (0.05, 20.0)
_INTERCEPTS = (-20.0, 20.0)


def fit_platt_scaling(by_probability: Histogram, positive_weight: float = 1.0) -> PlattScaling:
    """The slope and intercept of the highest likelihood, from minus the log of the positive weight on."""
    return _fit(by_probability, (1.0, -float(np.log(positive_weight))), _INTERCEPTS)


def fit_temperature(by_probability: Histogram) -> PlattScaling:
    """The slope of the highest likelihood without an intercept."""
    return _fit(by_probability, (1.0, 0.0), (0.0, 0.0))


def best_f1_threshold(by_probability: Histogram) -> float:
    """The probability from which pixels are to count as corrosion, for the best F1 of all pixels together."""
    _check_both(by_probability)
    # Between two thresholds that differ nothing changes but at a bin.
    probabilities, corroded = by_probability.sums
    found = corroded[::-1].cumsum()
    called = by_probability.counts[::-1].cumsum()
    f1 = 2 * found / (called + corroded.sum())
    lowest = len(f1) - 1 - int(np.argmax(f1))
    return float(probabilities[lowest] / by_probability.counts[lowest]) if lowest else 0.0


def conformal_threshold(
    missed: Float64[np.ndarray, "groups thresholds"], thresholds: Float64[np.ndarray, "thresholds"], level: float
) -> float:
    """The last threshold that keeps the expected rate of an error, such as false negatives, of a new group at a level.

    Conformal risk control (Angelopoulos et al. 2024): with n groups that are exchangeable with the new one, the mean of
    their rates plus the worst that the new one can do, (n * mean + 1) / (n + 1), is to be at most the level.

    Args:
        missed: rate of each group at each threshold, 0 where a group has none, never falling from one to the next.
        thresholds: in this order, so increasing where the rates are false-negative ones.
        level: above 0, below 1.

    Raises:
        InputError: where there are too few groups for the level at any threshold.
    """
    groups = len(missed)
    bound = (missed.sum(axis=0) + 1) / (groups + 1)
    # Rates grow with the threshold, up to rounding: the first that is too high ends the search.
    held = np.cumsum(bound > level) == 0
    if not held.any():
        fewest = needed_groups(level)
        raise InputError(
            f"a false-negative rate of {level} cannot be promised from {groups} groups, whatever the threshold: "
            f"give {fewest} or more, or a higher rate"
        )
    return float(thresholds[held][-1])


def miss_rates(
    probability: Float[np.ndarray, "*shape"], truth: np.ndarray, thresholds: Float64[np.ndarray, "thresholds"]
) -> Float64[np.ndarray, "thresholds"]:
    """Share of corroded pixels below each threshold; 0 where nothing is corroded."""
    corroded = np.sort(probability[truth])
    return np.searchsorted(corroded, thresholds, side="left") / max(len(corroded), 1)


def of_groups(
    rates: Float64[np.ndarray, "images thresholds"], groups: Sequence[str]
) -> Float64[np.ndarray, "groups thresholds"]:
    """Mean rates of each group of images, such as photographs of one structure."""
    names, place = np.unique(np.array(groups), return_inverse=True)
    sums = np.zeros((len(names), rates.shape[1]))
    np.add.at(sums, place, rates)
    return sums / np.bincount(place)[:, None]


def _fit(by_probability: Histogram, start: tuple[float, float], intercepts: tuple[float, float]) -> PlattScaling:
    _check_both(by_probability)
    counts, (probabilities, corroded) = by_probability.counts, by_probability.sums
    mean = probabilities / counts
    logits = logit(np.clip(mean, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    if np.ptp(logits) == 0:
        raise InputError(f"all pixels have the probability {mean[0]:.3f}, which leaves nothing to fit: train longer")
    pixels = counts.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * logits + parameters[1]
        value = (counts * np.logaddexp(0, z) - corroded * z).sum() / pixels
        slope = (counts * expit(z) - corroded) / pixels
        return value, np.array([(slope * logits).sum(), slope.sum()])

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_SLOPES, intercepts], options={"ftol": 1e-14})
    return PlattScaling(*map(float, found.x))


def _check_both(by_probability: Histogram) -> None:
    corroded, pixels = int(by_probability.sums[1].sum()), int(by_probability.counts.sum())
    if corroded in (0, pixels):
        what = "no corrosion" if corroded == 0 else "nothing but corrosion"
        raise InputError(f"the split shows {what}: calibration needs both, add photographs to it")
