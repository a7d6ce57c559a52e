"""Maps as whole numbers of slider steps, so that a browser counts and masks exactly what numpy does."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, UInt8

_PROBABILITY_STEPS = 200
# Narrow where standard deviations are small, which most are.
_CUT_OFFS = ((0.0, 0.05, 0.001), (0.05, 0.1, 0.002), (0.1, 0.25, 0.005), (0.25, 0.5, 0.01))


class Steps(NamedTuple):
    """Positions of the sliders.

    Attributes:
        probability: thresholds from 0 to 1, each half a hundredth, and the run's own.
        epistemic: cut-offs from 0 to 1/2, and 1, which leaves out nothing.
    """

    probability: Float32[np.ndarray, "thresholds"]
    epistemic: Float32[np.ndarray, "cut_offs"]


def slider_steps(threshold: float) -> Steps:
    """Steps among which is the threshold of the run."""
    even = np.arange(_PROBABILITY_STEPS + 1) / _PROBABILITY_STEPS
    cut_offs = [np.arange(low, high - step / 2, step) for low, high, step in _CUT_OFFS]
    cut_offs = np.round(np.concatenate([*cut_offs, [0.5, 1.0]]), 6)
    # Together before rounding to float32, in which a threshold of 0.3 may be the 0.3 of the even steps.
    return Steps(np.unique(np.append(even, threshold).astype(np.float32)), cut_offs.astype(np.float32))


def probability_levels(values: Float32[np.ndarray, "rows width"], steps: Steps) -> UInt8[np.ndarray, "rows width"]:
    """How many thresholds each value reaches: it reaches number i, counted from 0, where its level is above i."""
    return np.searchsorted(steps.probability, values, side="right").astype(np.uint8)


def epistemic_levels(values: Float32[np.ndarray, "rows width"], steps: Steps) -> UInt8[np.ndarray, "rows width"]:
    """The number of the lowest cut-off that keeps each value."""
    return np.searchsorted(steps.epistemic[:-1], values, side="left").astype(np.uint8)


def joint_counts(
    probability: UInt8[np.ndarray, "rows width"], epistemic: UInt8[np.ndarray, "rows width"], steps: Steps
) -> Int64[np.ndarray, "levels cut_offs"]:
    """Pixels of each pair of levels."""
    shape = len(steps.probability) + 1, len(steps.epistemic)
    cells = probability.ravel().astype(np.int32) * shape[1] + epistemic.ravel()
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def sparse(counts: Int64[np.ndarray, "levels cut_offs"]) -> list[int]:
    """Cells that are not empty: by turns how many cells further on, and the count."""
    cells = np.flatnonzero(counts)
    further = np.diff(cells, prepend=0)
    return np.stack([further, counts.ravel()[cells]], axis=1).ravel().tolist()
