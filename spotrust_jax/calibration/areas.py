"""Corroded areas with intervals that hold as often as they say, by split conformal prediction over groups.

The estimate is the sum of calibrated probabilities, which is unbiased where they are calibrated; the area of a mask is
biased by its threshold. How far the estimate is off grows with what the pixels leave open, mean p (1 - p), with the
estimate and with the true area, so errors are compared after division by these. surveys.py has the area of many
photographs together.
"""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from spotrust_jax.calibration.conformal import group_quantile, needed_groups
from spotrust_jax.calibration.fitting import fit_platt_scaling
from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError
from spotrust_jax.fields import is_finite, shown

LEVEL = 0.9
"""Probability with which an interval is to hold the true share."""

# The unit of errors. Intervals hold whatever it is; it decides how wide they are, and which areas they hold for more or
# less often. Of some hundred units of this form these numbers came out best in divisions of the detector's validation
# photographs: narrow, with small and large areas held as often as the others (`python -m experiments.detector.areas`).
_LEAST_OPEN, _LEAST_ESTIMATE, _WITH_TRUTH = 0.005, 0.05, 2.0

_FOLDS = 20


@dataclasses.dataclass(frozen=True)
class AreaCalibration:
    """What makes intervals of estimates, in units of the expected error.

    Attributes:
        reach: how far the interval of a photograph reaches.
        structure_reach: how far that of all photographs of one group together reaches, such as those of a structure.
        level: probability with which intervals hold the true share, for photographs of a new group.
        groups: groups of photographs that it was measured on; 0 where it was not, and there are no intervals.
        structure_error: root mean square of the groups' errors.
    """

    reach: float = 0.0
    structure_reach: float = 0.0
    level: float = LEVEL
    groups: int = 0
    structure_error: float = 0.0

    def __post_init__(self) -> None:
        for reach in (self.reach, self.structure_reach, self.structure_error):
            if not (is_finite(reach) and reach >= 0):
                raise InputError(f"the reach of intervals of areas is {shown(reach)}: give a finite number from 0 up")
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

    @property
    def expected_error(self) -> Float64[np.ndarray, "photographs"]:
        """Of the estimates, up to a factor: the unit that errors are measured in."""
        return np.sqrt(self.open + _LEAST_OPEN) * (self.estimate + _LEAST_ESTIMATE) ** 0.25


def fit_areas(
    shares: Shares, truth: Float64[np.ndarray, "photographs"], groups: Sequence[str], level: float = LEVEL
) -> AreaCalibration:
    """From photographs whose true corroded share is known, and on which the model learnt nothing.

    The quantile of the errors of photographs, and that of the errors of groups, is `group_quantile`.

    Raises:
        InputError: where there are too few groups for the level.
    """
    names, place, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    _require_groups(len(names), level)

    def of_groups(values: Float64[np.ndarray, "photographs"]) -> Float64[np.ndarray, "groups"]:
        return np.bincount(place, values) / counts

    error = np.abs(_scaled_error(truth, shares.estimate, shares.expected_error))
    of_structures = np.abs(_scaled_error(*map(of_groups, (truth, shares.estimate, shares.expected_error))))
    return AreaCalibration(
        reach=group_quantile(error, groups, level),
        structure_reach=group_quantile(of_structures, names.tolist(), level),
        level=level,
        groups=len(counts),
        structure_error=float(np.sqrt(np.mean(of_structures**2))),
    )


def _scaled_error(truth, estimate, expected_error):
    return (truth - estimate) / (expected_error * (1 + _WITH_TRUTH * truth))


def _require_groups(groups: int, level: float) -> None:
    """Raises an `InputError` where there are too few groups for intervals of a level."""
    if groups < (fewest := needed_groups(1 - level)):
        raise InputError(
            f"the photographs are of {groups} groups, and intervals of areas that hold with {level:.0%} need "
            f"{fewest}: label photographs of more structures"
        )


def fit_areas_to_pixels(
    pixels: Sequence[Histogram], groups: Sequence[str], positive_weight: float, level: float = LEVEL
) -> AreaCalibration:
    """The same from the pixels of photographs by their raw probability, with calibrations that did not see them.

    Probabilities fit the photographs that they were calibrated on better than others, so those of each fold of groups
    are calibrated on the groups of the other folds. Where groups are few, each is a fold of its own.

    Raises:
        InputError: where there are too few groups for the level, or a single group has all corrosion or all
            background.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    _require_groups(len(names), level)
    corroded = np.bincount(place, [one.sums[1].sum() for one in pixels])
    # In turn by their corrosion, so that no fold takes all of it.
    fold_of = np.empty(len(names), int)
    fold_of[np.argsort(-corroded, kind="stable")] = np.arange(len(names)) % _FOLDS
    members = [np.flatnonzero(fold_of[place] == fold).tolist() for fold in range(min(_FOLDS, len(names)))]
    together = [functools.reduce(operator.add, (pixels[i] for i in held)) for held in members]
    shares, truth = np.zeros((2, len(pixels))), np.zeros(len(pixels))
    for fold, held in enumerate(members):
        rest = functools.reduce(operator.add, together[:fold] + together[fold + 1 :])
        scaling = fit_platt_scaling(rest, positive_weight)
        for i in held:
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
    (expected,) = Shares(np.array([estimate]), np.array([open_share])).expected_error
    return interval(estimate, calibration.reach * float(expected), calibration.level)


def interval(estimate: float, error: float, level: float) -> Area:
    """All shares y from which an estimate is at most `error` (1 + 2 y) away: `_scaled_error` solved for the truth."""
    more = _WITH_TRUTH * error
    low = (estimate - error) / (1 + more)
    high = (estimate + error) / (1 - more) if more < 1 else 1.0
    return Area(estimate, max(low, 0.0), min(high, 1.0), level)
