"""What counts as a failure of a mask, by photograph and by region, and how well an uncertainty detects it.

A photograph fails where the intersection over union of corrosion is below one half and more than 1% of its pixels are
wrong: a few false pixels are no failure where nothing is corroded. A region of the mask (pixels that touch, also at
corners; 16 pixels or more) fails where less than half of it is corrosion. Ignored pixels count in neither. The score is
the mean uncertainty over the photograph or the region.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Float64

from spotrust_jax.calibration.histogram import Histogram, score_histogram
from spotrust_jax.metrics.metric import PerSet
from spotrust_jax.metrics.ranking import detection

_IOU, _WRONG, _PIXELS = 0.5, 0.01, 16


def photograph_failure(
    uncertainties: Mapping[str, Float[np.ndarray, "height width"]],
    mask: Bool[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "height width"],
    scored: Bool[np.ndarray, "height width"],
) -> dict[str, Histogram]:
    """One photograph by the mean of each uncertainty; the quantity is 1 where it fails."""
    wrong, found = np.count_nonzero((mask != truth) & scored), np.count_nonzero(mask & truth & scored)
    failed = np.array([found < _IOU * (found + wrong) and wrong > _WRONG * np.count_nonzero(scored)])
    means = {name: values[scored].mean(dtype=np.float64) for name, values in uncertainties.items()}
    return {name: score_histogram(np.array([mean]), failed) for name, mean in means.items()}


def region_failures(
    uncertainties: Mapping[str, Float[np.ndarray, "height width"]],
    mask: Bool[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "height width"],
    scored: Bool[np.ndarray, "height width"],
) -> dict[str, Histogram]:
    """The mask's regions by the mean of each uncertainty; the quantity is 1 where one fails."""
    labels, number = cast(tuple[np.ndarray, int], scipy.ndimage.label(mask & scored, np.ones((3, 3))))
    labels = labels[scored]
    sizes, corroded = np.bincount(labels, minlength=number + 1), np.bincount(labels, truth[scored], number + 1)
    kept = 1 + np.flatnonzero(sizes[1:] >= _PIXELS)
    failed = corroded[kept] < sizes[kept] / 2

    def mean(values: Float[np.ndarray, "height width"]) -> Float64[np.ndarray, "regions"]:
        return np.bincount(labels, values[scored].astype(np.float64), number + 1)[kept] / sizes[kept]

    return {name: score_histogram(mean(values), failed) for name, values in uncertainties.items()}


def failure_auroc(by_uncertainty: Histogram) -> PerSet:
    """Probability that what failed has the higher uncertainty, ties half; 1/2 where nothing or everything failed."""
    if not by_uncertainty.counts.shape[-1]:
        return np.full(by_uncertainty.counts.shape[:-1], 0.5)[()]
    failed = by_uncertainty.sums[..., 0, :]
    with np.errstate(invalid="ignore"):
        auroc = detection(by_uncertainty.counts - failed, failed).auroc
    return np.where(np.isnan(auroc), 0.5, auroc)[()]
