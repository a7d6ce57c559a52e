"""Corroded areas with intervals that hold as often as they say, by split conformal prediction over groups.

The estimate is the sum of calibrated probabilities, which is unbiased where they are calibrated; the area of a mask is
biased by its threshold. How far the estimate is off grows with what the pixels leave open, mean p (1 - p), and a little
with the area itself, so errors are compared after division by these. Large areas are more often taken for too small
than small ones for too large, so each side of an interval has a quantile of its own.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from spotrust_jax.calibration.fitting import fit_platt_scaling
from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError
from spotrust_jax.fields import is_finite, shown

LEVEL = 0.9
"""Probability with which an interval is to hold the true share."""

# Share that an estimate may be off by even where every pixel is certain: labels are not exact either.
_FLOOR = 0.002

_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class AreaCalibration:
    """What makes intervals of estimates.

    Attributes:
        below, above: how far an interval reaches below and above the estimate, in units of the error that is expected.
        level: probability with which intervals hold the true share, for a photograph of a new group.
        groups: groups of photographs that it was measured on; 0 where it was not, and there are no intervals.
    """

    below: float = 0.0
    above: float = 0.0
    level: float = LEVEL
    groups: int = 0

    def __post_init__(self) -> None:
        for reach in (self.below, self.above):
            if not is_finite(reach):
                raise InputError(f"the reach of intervals of areas is {shown(reach)}: give a finite number")
        if not 0 < self.level < 1:
            raise InputError(f"the level of intervals of areas is {shown(self.level)}: give one between 0 and 1")
        if self.groups < 0:
            raise InputError(f"the groups of areas are {shown(self.groups)}: give a number from 0 up")


class Area(NamedTuple):
    """A corroded share, 0 to 1, of what is judged.

    Attributes:
        estimate: of the share.
        low, high: of the interval that holds the true share with probability `level`; None where areas of the model
            are not calibrated.
        level: probability, 0 to 1.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float


class Shares(NamedTuple):
    """What a photograph's pixels say of its corroded share.

    Attributes:
        estimate: mean calibrated probability p.
        open: mean of p (1 - p), what the pixels leave open.
    """

    estimate: Float64[np.ndarray, "photographs"]
    open: Float64[np.ndarray, "photographs"]


def needed_groups(level: float = LEVEL) -> int:
    """The fewest groups of photographs from which intervals of a level can be had."""
    one_side = (1 + level) / 2
    return math.ceil(one_side / (1 - one_side) - 1e-9)


def fit_areas(
    shares: Shares, truth: Float64[np.ndarray, "photographs"], groups: Sequence[str], level: float = LEVEL
) -> AreaCalibration:
    """From photographs whose true corroded share is known, and on which the model learnt nothing.

    Each group counts as much as any other, whatever its number of photographs, and one more group that may be anything
    stands for the one to come. Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023.

    Raises:
        InputError: where there are too few groups for the level.
    """
    _, place, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(counts) < needed_groups(level):
        raise InputError(
            f"the photographs are of {len(counts)} groups, and intervals of areas that hold with {level:.0%} need "
            f"{needed_groups(level)}: label photographs of more structures"
        )
    errors = (truth - shares.estimate) / _expected_error(shares.estimate, shares.open)
    weights = 1 / ((len(counts) + 1) * counts[place])
    return AreaCalibration(
        *(_quantile(side, weights, (1 + level) / 2) for side in (-errors, errors)), level, len(counts)
    )


def _quantile(
    errors: Float64[np.ndarray, "photographs"], weights: Float64[np.ndarray, "photographs"], level: float
) -> float:
    """The smallest error that the level of the weights does not exceed."""
    order = np.argsort(errors, kind="stable")
    reached = np.searchsorted(weights[order].cumsum(), level - 1e-9)
    return float(errors[order][min(reached, len(order) - 1)])


def _expected_error(estimate, open_share):
    """In the unit of the share, of floats or arrays."""
    return (open_share + _FLOOR) * (1 + estimate)


def fit_areas_to_pixels(
    pixels: Sequence[Histogram], groups: Sequence[str], positive_weight: float, level: float = LEVEL
) -> AreaCalibration:
    """The same from the pixels of photographs by their raw probability, with calibrations that did not see them.

    Probabilities fit the photographs that they were calibrated on better than others, so those of each fold of groups
    are calibrated on the groups of the other folds.

    Raises:
        InputError: where there are too few groups for the level, or a single group has all corrosion or all
            background.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    corroded = np.bincount(place, [one.sums[1].sum() for one in pixels])
    # In turn by their corrosion, so that no fold takes all of it.
    fold_of = np.empty(len(names), int)
    fold_of[np.argsort(-corroded, kind="stable")] = np.arange(len(names)) % _FOLDS
    shares, truth = np.zeros((2, len(pixels))), np.zeros(len(pixels))
    for fold in range(_FOLDS):
        held = fold_of[place] == fold
        rest = functools.reduce(operator.add, (one for one, out in zip(pixels, held, strict=True) if not out))
        scaling = fit_platt_scaling(rest, positive_weight)
        for i in np.flatnonzero(held):
            shares[:, i], truth[i] = shares_of(pixels[i], scaling), true_share(pixels[i])
    return fit_areas(Shares(*shares), truth, groups, level)


def shares_of(pixels: Histogram, scaling: PlattScaling) -> tuple[float, float]:
    """Mean calibrated probability p of a photograph's pixels, and mean p (1 - p)."""
    p, total = scaling(pixels.sums[0] / pixels.counts), pixels.counts.sum()
    return float((pixels.counts * p).sum() / total), float((pixels.counts * p * (1 - p)).sum() / total)


def true_share(pixels: Histogram) -> float:
    """The share of a photograph's pixels that is labelled as corrosion."""
    return float(pixels.sums[1].sum() / pixels.counts.sum())


def area(calibration: AreaCalibration, estimate: float, open_share: float) -> Area:
    """The corroded share of one photograph, or of a region of it, with its interval.

    Args:
        calibration: of the model.
        estimate: mean calibrated probability of what is judged.
        open_share: mean of p (1 - p) there.
    """
    if not calibration.groups:
        return Area(estimate, None, None, calibration.level)
    error = _expected_error(estimate, open_share)
    # Where estimates were off to one side alone, the other side's quantile may lie beyond the estimate.
    low = estimate - max(calibration.below, 0.0) * error
    high = estimate + max(calibration.above, 0.0) * error
    return Area(estimate, max(low, 0.0), min(high, 1.0), calibration.level)
