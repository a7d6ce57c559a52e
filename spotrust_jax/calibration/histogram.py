"""Pixels counted by a score, so finely that curves over all thresholds can be drawn from the counts.

Curves and areas are in metrics/ranking.py and metrics/reliability.py. A histogram adds up over images in any order.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Num

BITS = 20
"""Bits of a float32 score that give its bin: sign, exponent and 11 of the fraction, so 0.05% of the score."""

ZERO = 1 << (BITS - 1)
"""The bin of a score of 0."""


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How many pixels have which score, and what they add up to in other quantities, such as 1 for each wrong pixel.

    Attributes:
        bins: numbers of those that any pixel is in, increasing.
        counts: pixels, for any number of sets of images.
        sums: of each quantity over them.
    """

    bins: Int64[np.ndarray, "bins"]
    counts: Num[np.ndarray, "*sets bins"]
    sums: Num[np.ndarray, "*sets quantities bins"]

    def __add__(self, other: "Histogram") -> "Histogram":
        bins, counts = np.concatenate([self.bins, other.bins]), np.concatenate([self.counts, other.counts])
        return gathered(bins, counts, np.concatenate([self.sums, other.sums], axis=-1))

    def coarser(self, bits: int) -> "Histogram":
        """With bins of so many bits less."""
        return gathered(self.bins >> bits, self.counts, self.sums)

    def resampled(self, weights: Float64[np.ndarray, "resamples sets"]) -> "Histogram":
        """Of as many sets as `weights` has rows, each of which takes every old set so many times."""
        return Histogram(self.bins, weights @ self.counts, np.einsum("rs,sqb->rqb", weights, self.sums, optimize=True))


def score_histogram(
    scores: Float[np.ndarray, "pixels"], *quantities: Num[np.ndarray, "pixels"] | Bool[np.ndarray, "pixels"]
) -> Histogram:
    """Of pixels with a score and other quantities each. Scores are finite, of any sign and size."""
    return histogram(score_bins(scores), *quantities)


def histogram(
    bins: Int64[np.ndarray, "pixels"], *quantities: Num[np.ndarray, "pixels"] | Bool[np.ndarray, "pixels"]
) -> Histogram:
    """Of pixels whose bins are known."""
    first = int(bins.min()) if bins.size else 0
    place = bins - first
    counts = np.bincount(place)
    there = np.flatnonzero(counts)
    sums = [np.bincount(place, quantity, minlength=len(counts))[there] for quantity in quantities]
    return Histogram(there + first, counts[there], np.reshape(sums, (len(quantities), len(there))))


def stacked(histograms: Sequence[Histogram]) -> Histogram:
    """Of one set for each histogram, with bins in common."""
    bins = np.unique(np.concatenate([one.bins for one in histograms]))
    sets, quantities = len(histograms), histograms[0].sums.shape[0]
    counts, sums = np.zeros((sets, len(bins))), np.zeros((sets, quantities, len(bins)))
    for index, one in enumerate(histograms):
        place = np.searchsorted(bins, one.bins)
        counts[index, place], sums[index][:, place] = one.counts, one.sums
    return Histogram(bins, counts, sums)


def score_bins(scores: Float[np.ndarray, "pixels"]) -> Int64[np.ndarray, "pixels"]:
    """The bin of each score. Floating point numbers are ordered as their bits are, once negative ones are turned."""
    bits = np.asarray(scores, np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits) + (1 << 31)
    return ordered >> (32 - BITS)


def gathered(
    bins: Int64[np.ndarray, "entries"], counts: Num[np.ndarray, "entries"], sums: Num[np.ndarray, "quantities entries"]
) -> Histogram:
    """A single set whose bins may come several times, with one entry for each."""
    merged, place = np.unique(bins, return_inverse=True)
    size = len(merged)
    totals = [np.bincount(place, row, minlength=size) for row in sums]
    return Histogram(
        merged, np.bincount(place, counts, minlength=size).astype(counts.dtype), np.reshape(totals, (len(sums), size))
    )
