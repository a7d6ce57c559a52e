"""How well a score puts pixels in order: risk and coverage, sparsification, and telling two kinds of pixels apart.

All from histograms of the score. Within a bin, pixels count as if in random order.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import digamma

from spotrust_jax.evaluation.score_histogram import ScoreHistogram

_COVERAGE, _RISK, _RATE = 0.8, 0.05, 0.95


class RiskCoverage(NamedTuple):
    """What is risked when only the most certain pixels are judged (El-Yaniv and Wiener 2010; Geifman et al. 2019).

    Attributes:
        aurc: mean risk over all coverages, in [0, 1]; lower is better.
        excess_aurc: how much that is above a perfect order of the same errors.
        risk_at_coverage: risk when the most certain 80% are judged.
        coverage_at_risk: largest share that can be judged at a risk of at most 5%.
    """

    aurc: float
    excess_aurc: float
    risk_at_coverage: float
    coverage_at_risk: float


class Detection(NamedTuple):
    """How well a score tells positive pixels from negative ones.

    Attributes:
        auroc: probability that a positive one has the higher score, ties half; 0.5 is chance.
        aupr: average precision; the share of positives is chance.
        fpr95: share of negatives above the threshold that 95% of positives reach; lower is better.
    """

    auroc: float
    aupr: float
    fpr95: float


def risk_coverage(by_uncertainty: ScoreHistogram) -> RiskCoverage:
    """Of pixels by their uncertainty, the totals being numbers of wrong ones."""
    counts, wrong = _certain_first(by_uncertainty)
    pixels, errors = counts.sum(), wrong.sum()
    right = pixels - errors
    # All errors last.
    perfect = (errors - right * (_harmonic(pixels) - _harmonic(right))) / pixels
    area = area_under_risk(by_uncertainty)
    return RiskCoverage(
        area,
        area - float(perfect),
        float(_errors_within(counts, wrong, np.floor(_COVERAGE * pixels)) / max(np.floor(_COVERAGE * pixels), 1)),
        _largest_coverage(counts, wrong, _RISK),
    )


def area_under_risk(by_uncertainty: ScoreHistogram) -> float:
    """Mean over k of the mean error among the k most certain pixels."""
    counts, errors = _certain_first(by_uncertainty)
    end = counts.cumsum()
    start, before = end - counts, errors.cumsum() - errors
    rate = errors / counts
    # The sum over k from start + 1 to end of (before + rate * (k - start)) / k.
    area = (before - rate * start) * (_harmonic(end) - _harmonic(start)) + errors
    return float(area.sum() / end[-1])


def sparsification_error(by_uncertainty: ScoreHistogram, by_error: ScoreHistogram) -> float:
    """AUSE (Ilg et al. 2018): area between the mean error left when uncertain pixels go and when wrong pixels go.

    Both histograms have the errors as totals. Relative to the mean error of all pixels: 0 is a perfect order.
    """
    mean = by_error.totals.sum() / by_error.counts.sum()
    if mean == 0:
        return 0.0
    return (area_under_risk(by_uncertainty) - area_under_risk(by_error)) / float(mean)


def detection(by_score: ScoreHistogram) -> Detection:
    """Of pixels by their score, the totals being numbers of positives; there must be positives and negatives."""
    filled = by_score.filled
    positives, negatives = filled.totals[::-1], (filled.counts - filled.totals)[::-1]
    hits, alarms = positives.cumsum(), negatives.cumsum()
    below = negatives.sum() - alarms
    auroc = (positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum())
    aupr = (positives * hits / (hits + alarms)).sum() / positives.sum()
    reached = np.argmax(hits >= _RATE * positives.sum())
    return Detection(float(auroc), float(aupr), float(alarms[reached] / negatives.sum()))


def _certain_first(histogram: ScoreHistogram) -> tuple[Float64[np.ndarray, "bins"], Float64[np.ndarray, "bins"]]:
    filled = histogram.filled
    return filled.counts.astype(np.float64), filled.totals


def _harmonic(number: float | Float64[np.ndarray, "..."]) -> float | Float64[np.ndarray, "..."]:
    """1 + 1/2 + ... + 1/number, less a constant that differences drop."""
    return digamma(number + 1.0)


def _errors_within(counts: np.ndarray, errors: np.ndarray, number: float) -> float:
    """Errors among the `number` most certain pixels."""
    return np.interp(number, np.concatenate([[0], counts.cumsum()]), np.concatenate([[0], errors.cumsum()]))


def _largest_coverage(counts: np.ndarray, errors: np.ndarray, risk: float) -> float:
    """The largest share of pixels, most certain first, among whom at most so many are wrong."""
    end, wrong = counts.cumsum(), errors.cumsum()
    start, before = end - counts, wrong - errors
    rate = errors / counts
    # before + rate * (k - start) <= risk * k: up to some k where the rate is above the risk, else from it on.
    with np.errstate(divide="ignore", invalid="ignore"):
        meeting = (rate * start - before) / (rate - risk)
    within = np.where(rate > risk, np.clip(meeting, start, end), np.where(wrong <= risk * end, end, start))
    held = (before <= risk * start) | (wrong <= risk * end)
    return float(np.max(np.where(held, within, 0.0)) / end[-1])
