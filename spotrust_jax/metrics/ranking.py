"""How well a score puts pixels in order: risk and coverage, sparsification, and the separation of two kinds of pixels.

All from histograms of the score, for any number of sets of images at once. Within a bin, pixels count as if in random
order. Bins without pixels do no harm.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Num
from scipy.special import digamma

from spotrust_jax.metrics.metric import PerSet

_COVERAGE, _RISK, _RATE = 0.8, 0.05, 0.95


class RiskCoverage(NamedTuple):
    """What is risked when only the most certain pixels are judged (El-Yaniv and Wiener 2010; Geifman et al. 2019).

    Attributes:
        aurc: mean risk over all coverages, in [0, 1]; lower is better.
        excess_aurc: how much that is above a perfect order of the same errors.
        risk_at_coverage: risk when the most certain 80% are judged.
        coverage_at_risk: largest share that can be judged at a risk of at most 5%.
    """

    aurc: PerSet
    excess_aurc: PerSet
    risk_at_coverage: PerSet
    coverage_at_risk: PerSet


class Detection(NamedTuple):
    """How well a score separates positive pixels from negative ones.

    Attributes:
        auroc: probability that a positive one has the higher score, ties half; 0.5 is random.
        aupr: average precision; the share of positives is random.
        fpr95: share of negatives above the threshold that 95% of positives reach; lower is better.
    """

    auroc: PerSet
    aupr: PerSet
    fpr95: PerSet


def risk_coverage(counts: Num[np.ndarray, "*sets bins"], wrong: Num[np.ndarray, "*sets bins"]) -> RiskCoverage:
    """Of pixels by their uncertainty, of which so many are wrong in each bin."""
    pixels, errors = counts.sum(axis=-1), wrong.sum(axis=-1)
    right = pixels - errors
    # All errors last.
    perfect = (errors - right * (_harmonic(pixels) - _harmonic(right))) / pixels
    area = area_under_risk(counts, wrong)
    judged = np.floor(_COVERAGE * pixels)
    risk = _errors_within(counts, wrong, judged) / np.maximum(judged, 1)
    return RiskCoverage(area, area - perfect, risk, _largest_coverage(counts, wrong, _RISK))


def area_under_risk(counts: Num[np.ndarray, "*sets bins"], errors: Num[np.ndarray, "*sets bins"]) -> PerSet:
    """Mean over k of the mean error among the k most certain pixels, from the errors of the pixels in each bin."""
    end = counts.cumsum(axis=-1)
    start, before = end - counts, errors.cumsum(axis=-1) - errors
    rate = errors / np.maximum(counts, 1)
    # The sum over k from start + 1 to end of (before + rate * (k - start)) / k.
    area = (before - rate * start) * (_harmonic(end) - _harmonic(start)) + errors
    return area.sum(axis=-1) / end[..., -1]


def area_under_generalized_risk(counts: Num[np.ndarray, "*sets bins"], errors: Num[np.ndarray, "*sets bins"]) -> PerSet:
    """Mean over k of the errors among the k most certain pixels, relative to all pixels (Traub et al. 2024)."""
    before = errors.cumsum(axis=-1) - errors
    # The sum over k from 1 to counts of before + errors / counts * k.
    area = counts * before + errors * (counts + 1) / 2
    return area.sum(axis=-1) / np.square(counts.sum(axis=-1), dtype=np.float64)


def risk_curve(
    counts: Num[np.ndarray, "bins"], errors: Num[np.ndarray, "bins"], coverages: Float64[np.ndarray, "points"]
) -> Float64[np.ndarray, "points"]:
    """Mean error among the share of pixels that is most certain, for shares above 0."""
    judged = coverages * counts.sum()
    return np.array([_errors_within(counts, errors, number) for number in judged]) / judged


def sparsification_error(
    by_uncertainty: tuple[Num[np.ndarray, "*sets bins"], Num[np.ndarray, "*sets bins"]],
    by_error: tuple[Num[np.ndarray, "*sets others"], Num[np.ndarray, "*sets others"]],
) -> PerSet:
    """AUSE (Ilg et al. 2018): area between the mean error left when uncertain pixels go and when wrong pixels go.

    Both are counts and errors, by uncertainty and by the error itself. Relative to the mean error of all pixels: 0 is a
    perfect order.
    """
    counts, errors = by_error
    mean = errors.sum(axis=-1) / counts.sum(axis=-1)
    between = area_under_risk(*by_uncertainty) - area_under_risk(*by_error)
    return np.where(mean > 0, between / np.where(mean > 0, mean, 1), 0.0)


def detection(negatives: Num[np.ndarray, "*sets bins"], positives: Num[np.ndarray, "*sets bins"]) -> Detection:
    """Of pixels of two kinds by their score; there must be both in every set."""
    positives, negatives = positives[..., ::-1], negatives[..., ::-1]
    hits, alarms = positives.cumsum(axis=-1), negatives.cumsum(axis=-1)
    both = hits[..., -1] * alarms[..., -1]
    below = alarms[..., -1:] - alarms
    auroc = (positives * (below + negatives / 2)).sum(axis=-1) / both
    precision = hits / np.maximum(hits + alarms, 1)
    aupr = (positives * precision).sum(axis=-1) / hits[..., -1]
    reached = np.argmax(hits >= _RATE * hits[..., -1:], axis=-1)
    alarmed = np.take_along_axis(alarms, reached[..., None], axis=-1)[..., 0]
    return Detection(auroc, aupr, alarmed / alarms[..., -1])


def _harmonic(number):
    """1 + 1/2 + ... + 1/number, less a constant that differences drop."""
    return digamma(number + 1.0)


def _errors_within(counts: np.ndarray, errors: np.ndarray, number) -> PerSet:
    """Errors among the `number` most certain pixels of each set."""
    end, total = counts.cumsum(axis=-1), errors.cumsum(axis=-1)
    bin_ = np.minimum((end < np.asarray(number)[..., None]).sum(axis=-1), end.shape[-1] - 1)[..., None]
    inside, wrong, last, reached = (np.take_along_axis(x, bin_, -1)[..., 0] for x in (counts, errors, end, total))
    return reached - wrong * (last - number) / np.maximum(inside, 1)


def _largest_coverage(counts: np.ndarray, errors: np.ndarray, risk: float) -> PerSet:
    """The largest share of pixels, most certain first, among whom at most so many are wrong."""
    end, wrong = counts.cumsum(axis=-1), errors.cumsum(axis=-1)
    start, before = end - counts, wrong - errors
    rate = errors / np.maximum(counts, 1)
    # before + rate * (k - start) <= risk * k: up to some k where the rate is above the risk, else from it on.
    with np.errstate(divide="ignore", invalid="ignore"):
        meeting = (rate * start - before) / (rate - risk)
    within = np.where(rate > risk, np.clip(meeting, start, end), np.where(wrong <= risk * end, end, start))
    held = (before <= risk * start) | (wrong <= risk * end)
    return np.max(np.where(held, within, 0.0), axis=-1) / end[..., -1]
