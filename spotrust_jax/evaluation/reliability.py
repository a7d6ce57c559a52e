"""Whether probabilities mean what they say: likelihood, Brier score, and observed against predicted frequencies.

States add up over images; nothing here depends on a threshold.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from spotrust_jax.affine_calibration import SUREST
from spotrust_jax.evaluation.score_histogram import score_bins

WIDTHS = 15
"""Bins of one width over [0, 1], which no fine bin crosses the edges of (Guo et al. 2017)."""


@dataclasses.dataclass(frozen=True)
class ProbabilityHistogram:
    """Pixels by their corrosion probability, in fine bins, those that are filled.

    Attributes:
        bins: which ones, increasing: the bin of `score_histogram` times 16, plus that of the `WIDTHS` bins.
        counts: pixels.
        probabilities: sums of what was predicted.
        corroded: how many of them are corrosion.
    """

    bins: Int64[np.ndarray, "filled"]
    counts: Int64[np.ndarray, "filled"]
    probabilities: Float64[np.ndarray, "filled"]
    corroded: Int64[np.ndarray, "filled"]

    def __add__(self, other: "ProbabilityHistogram") -> "ProbabilityHistogram":
        bins, place = np.unique(np.concatenate([self.bins, other.bins]), return_inverse=True)
        columns = zip(dataclasses.astuple(self)[1:], dataclasses.astuple(other)[1:], strict=True)
        sums = [np.bincount(place, np.concatenate(pair), minlength=len(bins)) for pair in columns]
        return ProbabilityHistogram(bins, sums[0].astype(np.int64), sums[1], sums[2].astype(np.int64))

    def above(self, probability: float) -> "ProbabilityHistogram":
        """The pixels in bins whose mean prediction is above a probability."""
        kept = self.probabilities > probability * self.counts
        return ProbabilityHistogram(*(column[kept] for column in dataclasses.astuple(self)))


@dataclasses.dataclass(frozen=True)
class ProperScores:
    """Sums of the two proper scores over pixels. `ProperScores()` is the zero of the addition.

    Attributes:
        pixels: their number.
        negative_log_likelihood: natural logarithms.
        squared_error: of the probability.
        corroded: pixels that are.
    """

    pixels: int = 0
    negative_log_likelihood: float = 0.0
    squared_error: float = 0.0
    corroded: int = 0

    def __add__(self, other: "ProperScores") -> "ProperScores":
        return ProperScores(
            *(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )

    @property
    def likelihood(self) -> float:
        """Mean negative log likelihood of a pixel, at least 0; lower is better."""
        return self.negative_log_likelihood / self.pixels

    @property
    def brier(self) -> float:
        """Brier score, in [0, 1]; lower is better."""
        return self.squared_error / self.pixels

    @property
    def brier_skill(self) -> float:
        """One less the Brier score relative to that of the share of corrosion, predicted everywhere: 0 is no skill."""
        share = self.corroded / self.pixels
        climate = share * (1 - share)
        return 1 - self.brier / climate if climate else 0.0


class Reliability(NamedTuple):
    """Bins of pixels by predicted probability, those with pixels in them.

    Attributes:
        counts: pixels.
        predicted: mean probability.
        observed: share that is corrosion.
    """

    counts: Int64[np.ndarray, "bins"]
    predicted: Float64[np.ndarray, "bins"]
    observed: Float64[np.ndarray, "bins"]

    @property
    def expected_error(self) -> float:
        """Expected calibration error, in [0, 1]: mean over pixels of what their bin is off (Guo et al. 2017)."""
        gaps = np.abs(self.predicted - self.observed)
        return float((self.counts * gaps).sum() / self.counts.sum())

    @property
    def maximum_error(self) -> float:
        """Maximum calibration error, in [0, 1]: what the worst bin is off."""
        return float(np.abs(self.predicted - self.observed).max())


def probability_histogram(
    probability: Float[np.ndarray, "*shape"], truth: Bool[np.ndarray, "*shape"]
) -> ProbabilityHistogram:
    """Of the pixels of one image, or of any number of them."""
    p = probability.ravel().astype(np.float64)
    wide = np.minimum((p * WIDTHS).astype(np.int64), WIDTHS - 1)
    bins, place = np.unique(16 * score_bins(probability.ravel()) + wide, return_inverse=True)
    counts, sums = np.bincount(place), np.bincount(place, p)
    return ProbabilityHistogram(bins, counts, sums, np.bincount(place, truth.ravel()).astype(np.int64))


def proper_scores(probability: Float[np.ndarray, "*shape"], truth: Bool[np.ndarray, "*shape"]) -> ProperScores:
    """Of the pixels of one image, or of any number of them, in float64."""
    p = probability.astype(np.float64)
    clipped = np.clip(p, SUREST, 1 - SUREST)
    likelihood = -np.where(truth, np.log(clipped), np.log1p(-clipped)).sum()
    return ProperScores(truth.size, float(likelihood), float(np.square(p - truth).sum()), int(truth.sum()))


def equal_width(histogram: ProbabilityHistogram) -> Reliability:
    """`WIDTHS` bins of one width over [0, 1]."""
    return _gathered(histogram, histogram.bins % 16, WIDTHS)


def equal_mass(histogram: ProbabilityHistogram, bins: int = WIDTHS) -> Reliability:
    """Bins of as many pixels each as the fine ones allow, which are not torn apart."""
    middle = histogram.counts.cumsum() - histogram.counts / 2
    group = np.minimum((middle * bins / histogram.counts.sum()).astype(np.int64), bins - 1)
    return _gathered(histogram, group, bins)


def _gathered(histogram: ProbabilityHistogram, group: Int64[np.ndarray, "filled"], bins: int) -> Reliability:
    columns = (histogram.counts, histogram.probabilities, histogram.corroded)
    counts, predicted, observed = (np.bincount(group, column, minlength=bins) for column in columns)
    there = counts > 0
    counts = counts[there]
    return Reliability(counts.astype(np.int64), predicted[there] / counts, observed[there] / counts)
