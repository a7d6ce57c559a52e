"""Scores of a measured detector: by site, with intervals over groups, and what calibration and threshold come to.

Scores are pooled over pixels. Intervals are percentile bootstraps over groups, since views of one place repeat.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import expit

from experiments.detector.measure import EDGES, Measured
from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.calibration.platt import PlattScaling

_CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
_RESAMPLES = 2000


class Interval(NamedTuple):
    """A score with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


# A statistic of photographs that count so often each.
Statistic = Callable[[Float64[np.ndarray, "photographs"]], float]


def interval(statistic: Statistic, groups: Sequence[str], seed: int = 0) -> Interval:
    """A statistic of all photographs, groups of them resampled. Efron and Tibshirani 1993, chapter 13."""
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    count, generator = place.max() + 1, np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)
    drawn = [statistic(row[place]) for row in weights]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(statistic(np.ones(len(place))), float(low), float(high))


def f1_of(measured: Measured, threshold: float) -> Statistic:
    """Pooled F1 of corrosion at a raw probability."""
    true_positive, false_positive, false_negative = confusion(measured, threshold)

    def f1(weights: Float64[np.ndarray, "photographs"]) -> float:
        found = 2 * weights @ true_positive
        return float(found / np.maximum(found + weights @ (false_positive + false_negative), 1e-12))

    return f1


def confusion(measured: Measured, threshold: float) -> tuple[Float64[np.ndarray, "photographs"], ...]:
    """Pixels of each photograph that are true positives, false positives and false negatives."""
    called = expit(_CENTRES) >= threshold
    missed = measured.corrosion[:, ~called].sum(axis=1)
    return measured.corrosion[:, called].sum(axis=1), measured.background[:, called].sum(axis=1), missed


def called_area(measured: Measured, threshold: float) -> Float64[np.ndarray, "photographs"]:
    """Share of each photograph that is called corrosion."""
    true_positive, false_positive, _ = confusion(measured, threshold)
    pixels = measured.background.sum(axis=1) + measured.corrosion.sum(axis=1)
    return (true_positive + false_positive) / pixels


def histograms(measured: Measured) -> list[Histogram]:
    """Pixels of each photograph by their raw probability."""
    p, found = expit(_CENTRES), []
    for background, corrosion in zip(measured.background, measured.corrosion, strict=True):
        counts = background + corrosion
        bins = np.flatnonzero(counts)
        found.append(Histogram(bins, counts[bins], np.stack([p[bins] * counts[bins], corrosion[bins]])))
    return found


def fit_calibration(measured: Measured, weights: Float64[np.ndarray, "photographs"]) -> PlattScaling:
    """Slope and intercept of the highest likelihood (Platt scaling)."""
    corrosion, background = weights @ measured.corrosion, weights @ measured.background
    total = (corrosion + background).sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * _CENTRES + parameters[1]
        value = (corrosion * np.logaddexp(0, -z) + background * np.logaddexp(0, z)).sum() / total
        slope = ((corrosion + background) * expit(z) - corrosion) / total
        return value, np.array([(slope * _CENTRES).sum(), slope.sum()])

    found = minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=[(0.05, 20.0), (-20.0, 20.0)])
    return PlattScaling(*map(float, found.x))


def best_threshold(measured: Measured, weights: Float64[np.ndarray, "photographs"]) -> float:
    """The raw probability of the best pooled F1."""
    corrosion, background = weights @ measured.corrosion, weights @ measured.background
    found, called = corrosion[::-1].cumsum()[::-1], (corrosion + background)[::-1].cumsum()[::-1]
    f1 = 2 * found / np.maximum(called + corrosion.sum(), 1e-12)
    return float(expit(EDGES[int(np.argmax(f1))]))


def calibrated_probabilities(calibration: PlattScaling) -> Float64[np.ndarray, "bins"]:
    """What a calibration makes of each bin."""
    return expit(calibration.slope * _CENTRES + calibration.intercept)


def calibration_error_of(measured: Measured, calibration: PlattScaling, above: float = 0.1) -> Statistic:
    """Expected calibration error over pixels whose calibrated probability is above a value, 15 bins of equal mass."""
    p = calibrated_probabilities(calibration)

    def error(weights: Float64[np.ndarray, "photographs"]) -> float:
        likely = p > above
        corrosion = (weights @ measured.corrosion)[likely]
        mass = corrosion + (weights @ measured.background)[likely]
        group = np.minimum((15 * (mass.cumsum() - mass / 2) / max(mass.sum(), 1e-12)).astype(int), 14)
        predicted, observed = (np.bincount(group, values, 15) for values in (mass * p[likely], corrosion))
        return float(np.abs(predicted - observed).sum() / max(mass.sum(), 1e-12))

    return error


def brier_skill_of(measured: Measured, calibration: PlattScaling) -> Statistic:
    """One less the Brier score relative to that of the share of corrosion, predicted everywhere."""
    p = calibrated_probabilities(calibration)

    def skill(weights: Float64[np.ndarray, "photographs"]) -> float:
        corrosion, background = weights @ measured.corrosion, weights @ measured.background
        total, share = (corrosion + background).sum(), corrosion.sum() / (corrosion + background).sum()
        brier = (corrosion * (1 - p) ** 2 + background * p**2).sum() / total
        return float(1 - brier / (share * (1 - share)))

    return skill


def by_site(measured: Measured, statistic: Callable[[Measured], Statistic]) -> Mapping[str, Interval]:
    """A statistic of all photographs and of those of each site."""
    sites = np.asarray(measured.sites)
    parts = {"all": measured, **{site: measured.chosen(sites == site) for site in sorted(set(measured.sites))}}
    return {site: interval(statistic(part), part.groups) for site, part in parts.items()}
