"""Corroded areas with intervals that hold as often as they say, by split conformal prediction over groups.

The estimate is the sum of calibrated probabilities, which is unbiased where they are calibrated; the area of a mask is
biased by its threshold. How far the estimate is off grows with what the pixels leave open, mean p (1 - p), so errors
are compared after division by it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from spotrust_jax.errors import InputError

LEVEL = 0.9
"""Probability with which an interval is to hold the true share."""

# Share that an estimate may be off by even where every pixel is certain: labels are not exact either.
_FLOOR = 0.002


class AreaCalibration(NamedTuple):
    """What makes intervals of estimates.

    Attributes:
        quantile: half the width of an interval, in units of the error that the pixels let expect.
        level: probability with which intervals hold the true share, for a photograph of a new group.
        groups: groups of photographs that it was measured on.
    """

    quantile: float
    level: float
    groups: int


class Area(NamedTuple):
    """A corroded share, 0 to 1, and the interval that holds the true one with probability `level`."""

    estimate: float
    low: float
    high: float
    level: float


class Shares(NamedTuple):
    """What a photograph's pixels say of its corroded share.

    Attributes:
        estimate: mean calibrated probability p.
        open: mean of p (1 - p), what the pixels leave open.
    """

    estimate: Float64[np.ndarray, "photographs"]
    open: Float64[np.ndarray, "photographs"]


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
    needed = math.ceil(level / (1 - level) - 1e-9)
    if len(counts) < needed:
        raise InputError(
            f"the photographs are of {len(counts)} groups, and intervals of areas that hold with {level:.0%} need "
            f"{needed}: label photographs of more structures"
        )
    errors = np.abs(truth - shares.estimate) / (shares.open + _FLOOR)
    weights = 1 / ((len(counts) + 1) * counts[place])
    order = np.argsort(errors, kind="stable")
    reached = np.searchsorted(weights[order].cumsum(), level - 1e-9)
    return AreaCalibration(float(errors[order][min(reached, len(order) - 1)]), level, len(counts))


def area(calibration: AreaCalibration, estimate: float, open_share: float) -> Area:
    """The corroded share of one photograph, or of a region of it, with its interval.

    Args:
        calibration: of the model.
        estimate: mean calibrated probability of what is judged.
        open_share: mean of p (1 - p) there.
    """
    half = calibration.quantile * (open_share + _FLOOR)
    return Area(estimate, max(estimate - half, 0.0), min(estimate + half, 1.0), calibration.level)
