"""Pixels counted by a score, so finely that curves over all thresholds can be drawn from the counts.

Curves and areas are in ranking.py. A state adds up over images in any order, and takes no more memory for more of them.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Num

BITS = 20
"""Bits of a float32 score that its bin is told by: sign, exponent and 11 of the fraction, so 0.05% of the score."""

_BINS = 1 << BITS


@dataclasses.dataclass(frozen=True)
class ScoreHistogram:
    """How many pixels have which score, and what they add up to in something else.

    Attributes:
        counts: pixels in each bin, scores increasing.
        totals: sums over them of the other quantity, such as 1 for each wrong pixel.
    """

    counts: Int64[np.ndarray, "bins"]
    totals: Float64[np.ndarray, "bins"]

    def __add__(self, other: "ScoreHistogram") -> "ScoreHistogram":
        return ScoreHistogram(self.counts + other.counts, self.totals + other.totals)

    @property
    def filled(self) -> "ScoreHistogram":
        """Without the empty bins."""
        there = self.counts > 0
        return ScoreHistogram(self.counts[there], self.totals[there])


def no_scores() -> ScoreHistogram:
    """Of no pixels."""
    return ScoreHistogram(np.zeros(_BINS, np.int64), np.zeros(_BINS))


def score_histogram(
    scores: Float[np.ndarray, "pixels"], values: Num[np.ndarray, "pixels"] | Bool[np.ndarray, "pixels"]
) -> ScoreHistogram:
    """Of pixels with a score and a value each. Scores are finite, of any sign and size."""
    bins = score_bins(scores)
    counts = np.bincount(bins, minlength=_BINS)
    return ScoreHistogram(counts, np.bincount(bins, values, minlength=_BINS))


def score_bins(scores: Float[np.ndarray, "pixels"]) -> Int64[np.ndarray, "pixels"]:
    """The bin of each score. Floating point numbers are ordered as their bits are, once negative ones are turned."""
    bits = np.asarray(scores, np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits) + (1 << 31)
    return ordered >> (32 - BITS)
