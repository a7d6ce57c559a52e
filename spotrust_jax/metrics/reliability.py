"""Whether probabilities mean what they say: likelihood, Brier score, and observed against predicted frequencies.

States add up over images; nothing here depends on a threshold.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Num

from spotrust_jax.calibration.histogram import ZERO, Histogram, gathered, histogram, score_bins
from spotrust_jax.calibration.platt import SMALLEST_PROBABILITY

WIDTHS = 15
"""Bins of one width over [0, 1], which no fine bin crosses the edges of (Guo et al. 2017)."""

Sums = float | Num[np.ndarray, "*sets"]


class ProperScores(NamedTuple):
    """Sums of the two proper scores over pixels, for any number of sets of images; they add up field by field.

    Attributes:
        pixels: their number.
        negative_log_likelihood: natural logarithms.
        squared_error: of the probability.
        corroded: pixels that are.
    """

    pixels: Sums
    negative_log_likelihood: Sums
    squared_error: Sums
    corroded: Sums

    @property
    def likelihood(self) -> Sums:
        """Mean negative log likelihood of a pixel, at least 0; lower is better."""
        return self.negative_log_likelihood / self.pixels

    @property
    def brier(self) -> Sums:
        """Brier score, in [0, 1]; lower is better."""
        return self.squared_error / self.pixels

    @property
    def brier_skill(self) -> Sums:
        """One less the Brier score relative to that of the share of corrosion, predicted everywhere: 0 is no skill."""
        share = self.corroded / self.pixels
        climate = share * (1 - share)
        return np.where(climate > 0, 1 - self.brier / np.where(climate > 0, climate, 1), 0.0)


class Reliability(NamedTuple):
    """Bins of pixels by predicted probability, for any number of sets of images. Empty ones have zeros.

    Attributes:
        counts: pixels.
        predicted: mean probability.
        observed: share that is corrosion.
    """

    counts: Num[np.ndarray, "*sets bins"]
    predicted: Float64[np.ndarray, "*sets bins"]
    observed: Float64[np.ndarray, "*sets bins"]

    @property
    def expected_error(self) -> float | Float64[np.ndarray, "*sets"]:
        """Expected calibration error, in [0, 1]: mean over pixels of what their bin is off (Guo et al. 2017)."""
        gaps = np.abs(self.predicted - self.observed)
        return (self.counts * gaps).sum(axis=-1) / np.maximum(self.counts.sum(axis=-1), 1)

    @property
    def maximum_error(self) -> float | Float64[np.ndarray, "*sets"]:
        """Maximum calibration error, in [0, 1]: what the worst bin is off."""
        return np.abs(self.predicted - self.observed).max(axis=-1, initial=0.0)


def probability_histogram(probability: Float[np.ndarray, "*shape"], truth: Bool[np.ndarray, "*shape"]) -> Histogram:
    """Of the pixels of some images by probability: the quantities are the probability itself, and corrosion.

    A bin's number is that of its score above 0 times 16, plus that of the `WIDTHS` bins.
    """
    p = probability.ravel().astype(np.float64)
    wide = np.minimum((p * WIDTHS).astype(np.int64), WIDTHS - 1)
    return histogram(16 * (score_bins(probability.ravel()) - ZERO) + wide, p, truth.ravel())


def coarser_probabilities(by_probability: Histogram, bits: int) -> Histogram:
    """With bins of so many bits less, which still keep to the edges of the `WIDTHS` bins."""
    wide = by_probability.bins % 16
    bins = ((by_probability.bins // 16) >> bits) * 16 + wide
    return gathered(bins, by_probability.counts, by_probability.sums)


def proper_scores(probability: Float[np.ndarray, "*shape"], truth: Bool[np.ndarray, "*shape"]) -> ProperScores:
    """Of the pixels of one image, or of any number of them, in float64."""
    p = probability.astype(np.float64)
    clipped = np.clip(p, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    likelihood = -np.where(truth, np.log(clipped), np.log1p(-clipped)).sum()
    return ProperScores(float(truth.size), float(likelihood), float(np.square(p - truth).sum()), float(truth.sum()))


def equal_width(by_probability: Histogram) -> Reliability:
    """`WIDTHS` bins of one width over [0, 1]."""
    return _grouped(by_probability, by_probability.bins % 16, WIDTHS)


def equal_mass(by_probability: Histogram, bins: int = WIDTHS) -> Reliability:
    """Bins of as many pixels each, over all sets, as the fine ones allow, which are not split."""
    counts = by_probability.counts.sum(axis=tuple(range(by_probability.counts.ndim - 1)))
    middle = counts.cumsum() - counts / 2
    group = np.minimum((middle * bins / max(counts.sum(), 1)).astype(np.int64), bins - 1)
    return _grouped(by_probability, group, bins)


def sharpness(by_probability: Histogram) -> Sums:
    """Variance of the predicted probabilities over pixels, in [0, 1/4]: 0 where all are the same."""
    counts, sums = by_probability.counts, by_probability.sums[..., 0, :]
    pixels = counts.sum(axis=-1)
    return (sums**2 / np.maximum(counts, 1)).sum(axis=-1) / pixels - (sums.sum(axis=-1) / pixels) ** 2


def _grouped(by_probability: Histogram, group: Int64[np.ndarray, "filled"], bins: int) -> Reliability:
    member = np.zeros((len(group), bins))
    member[np.arange(len(group)), group] = 1
    counts, sums = by_probability.counts @ member, by_probability.sums @ member
    means = sums / np.maximum(counts, 1)[..., None, :]
    return Reliability(counts, means[..., 0, :], means[..., 1, :])
