"""Measured photographs divided by group, again and again: some make intervals, which the others are held against."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from experiments.detector.measure import Measured
from experiments.detector.scores import fit_calibration, histograms
from spotrust_jax.calibration.areas import LEVEL, AreaCalibration, fit_areas_to_pixels, shares_of, true_share
from spotrust_jax.calibration.conformal import group_quantile
from spotrust_jax.calibration.platt import PlattScaling

DIVISIONS = 50


class Fitted(NamedTuple):
    """What photographs made: calibration of probabilities, intervals, and the reach of those that are not scaled."""

    scaling: PlattScaling
    areas: AreaCalibration
    unscaled: float


def fit(measured: Measured) -> Fitted:
    """From all photographs."""
    pixels = histograms(measured)
    scaling = fit_calibration(measured, np.ones(len(measured.names)))
    error = np.abs([shares_of(one, scaling)[0] - true_share(one) for one in pixels])
    unscaled = group_quantile(error, measured.groups, LEVEL)
    return Fitted(scaling, fit_areas_to_pixels(pixels, measured.groups, 1.0), unscaled)


def divided(measured: Measured, generator: np.random.Generator) -> Iterator[tuple[Measured, Fitted]]:
    """A third of the groups, drawn `DIVISIONS` times, and what the others make."""
    names, place = np.unique(np.asarray(measured.groups), return_inverse=True)
    for _ in range(DIVISIONS):
        fits = (generator.permutation(len(names)) < 2 * len(names) // 3)[place]
        yield measured.chosen(~fits), fit(measured.chosen(fits))


def by_group(
    inside: Bool[np.ndarray, "photographs"], groups: Sequence[str], part: Bool[np.ndarray, "photographs"]
) -> float:
    """The share of a part of the photographs of which something holds, every group counted as one."""
    if not part.any():
        return float("nan")
    _, place, counts = np.unique(np.asarray(groups)[part], return_inverse=True, return_counts=True)
    weights: Float64[np.ndarray, "part"] = 1 / counts[place]
    return float((inside[part] * weights).sum() / weights.sum())
