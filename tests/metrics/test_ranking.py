"""Curves from histograms against scikit-learn and against sorting every pixel."""

import functools
import operator

import numpy as np
import pytest
from sklearn import metrics

from spotrust_jax.calibration.histogram import score_bins, score_histogram, stacked
from spotrust_jax.metrics.ranking import (
    area_under_generalized_risk,
    area_under_risk,
    detection,
    risk_coverage,
    risk_curve,
    sparsification_error,
)

PIXELS = 4000


def _scores(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Scores of the kinds that networks give."""
    values = {
        "spread": rng.random(PIXELS),
        "signed": rng.normal(0, 5, PIXELS),
        # Most of a saturated map is one number, or nearly so.
        "saturated": np.where(rng.random(PIXELS) < 0.9, 0.0, rng.random(PIXELS) ** 8),
        "tiny": 1e-7 * rng.random(PIXELS),
        "constant": np.full(PIXELS, 0.3),
    }
    return values[kind].astype(np.float32)


KINDS = ["spread", "signed", "saturated", "tiny", "constant"]


def _wrong(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """More often wrong where the score is high."""
    order = scores.argsort().argsort() / PIXELS
    return rng.random(PIXELS) < 0.02 + 0.3 * order**2


@pytest.fixture(params=KINDS)
def pixels(request):
    rng = np.random.default_rng(0)
    scores = _scores(request.param, rng)
    return scores, _wrong(scores, rng)


def _by(scores, errors):
    """Counts and errors by score."""
    found = score_histogram(scores, errors)
    return found.counts, found.sums[0]


def _risks(scores, errors):
    """Mean error of the k most certain pixels for every k, equal scores in the mean order."""
    ranks = np.unique(scores, return_inverse=True)[1]
    mean = (np.bincount(ranks, errors) / np.bincount(ranks))[ranks]
    return np.cumsum(mean[scores.argsort(kind="stable")]) / np.arange(1, len(scores) + 1)


def test_area_under_generalized_risk_equals_a_loop(pixels):
    scores, wrong = pixels
    risks = _risks(scores, wrong)
    expected = np.mean([risks[k - 1] * k / PIXELS for k in range(1, PIXELS + 1)])
    np.testing.assert_allclose(area_under_generalized_risk(*_by(scores, wrong)), expected, atol=1e-4)


def test_bins_keep_the_order():
    values = np.array([-np.inf, -10, -1, -1e-30, 0, 1e-38, 0.5, 0.5005, 1, 10, np.inf], np.float32)
    assert (np.diff(score_bins(values)) > 0).all()
    assert score_bins(np.float32([-0.0]))[0] == score_bins(np.float32([0.0]))[0]


def test_states_add_up_in_any_order(pixels):
    scores, wrong = pixels
    whole = score_histogram(scores, wrong)
    parts = [score_histogram(scores[start::7], wrong[start::7]) for start in (3, 0, 6, 1, 5, 2, 4)]
    added = functools.reduce(operator.add, parts)
    for name in ("bins", "counts", "sums"):
        np.testing.assert_array_equal(getattr(added, name), getattr(whole, name))


def test_detection_equals_scikit_learn(pixels):
    scores, positive = pixels
    found = detection(*_by(scores, ~positive)[1:], _by(scores, positive)[1])
    assert abs(found.auroc - metrics.roc_auc_score(positive, scores)) < 1e-3
    assert abs(found.aupr - metrics.average_precision_score(positive, scores)) < 1e-3
    rates, hits, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert abs(found.fpr95 - rates[np.argmax(hits >= 0.95)]) < 2e-3


def test_risk_and_coverage_equal_sorting(pixels):
    scores, wrong = pixels
    found, risks = risk_coverage(*_by(scores, wrong)), _risks(scores, wrong)
    assert abs(found.aurc - risks.mean()) < 1e-3
    perfect = np.cumsum(np.sort(wrong)) / np.arange(1, PIXELS + 1)
    assert abs(found.excess_aurc - (risks - perfect).mean()) < 1e-3
    assert abs(found.risk_at_coverage - risks[int(0.8 * PIXELS) - 1]) < 1e-3
    within = np.flatnonzero(risks <= 0.05)
    expected = (within[-1] + 1) / PIXELS if len(within) else 0.0
    assert abs(found.coverage_at_risk - expected) < 2e-3


def test_sparsification_error_equals_sorting(pixels):
    scores, _ = pixels
    errors = (np.random.default_rng(1).random(PIXELS) * (0.1 + scores.argsort().argsort() / PIXELS)) ** 2
    errors = errors.astype(np.float32)
    found = sparsification_error(_by(scores, errors), _by(errors, errors))
    expected = (_risks(scores, errors) - _risks(errors, errors)).mean() / errors.mean()
    assert abs(found - expected) < 1e-3
    assert abs(sparsification_error(_by(errors, errors), _by(errors, errors))) < 1e-12


def test_nothing_wrong_and_everything_wrong():
    scores = np.linspace(0, 1, 100, dtype=np.float32)
    right = risk_coverage(*_by(scores, np.zeros(100)))
    assert right == (0.0, 0.0, 0.0, 1.0)
    wrong = risk_coverage(*_by(scores, np.ones(100)))
    np.testing.assert_allclose(wrong, (1.0, 0.0, 1.0, 0.0), atol=1e-12)


def test_one_bin_each_is_the_exact_sum():
    rng = np.random.default_rng(0)
    errors = rng.random(50)
    np.testing.assert_allclose(
        area_under_risk(np.ones(50, np.int64), errors), (np.cumsum(errors) / np.arange(1, 51)).mean(), rtol=1e-12
    )


def test_curve_equals_sorting(pixels):
    scores, wrong = pixels
    coverages = np.array([0.05, 0.3, 0.8, 1.0])
    expected = _risks(scores, wrong)[(coverages * PIXELS).astype(int) - 1]
    np.testing.assert_allclose(risk_curve(*_by(scores, wrong), coverages), expected, atol=2e-3)


def test_resampled_sets_equal_each_alone(pixels):
    """Parts as images that are drawn with replacement, in coarser bins: a bootstrap sees what one set would give."""
    scores, wrong = pixels
    parts = [score_histogram(scores[start::4], wrong[start::4], ~wrong[start::4]).coarser(6) for start in range(4)]
    found = stacked(parts).resampled(np.array([[1.0, 0, 2, 1], [0, 3, 1, 0]]))
    risks = risk_coverage(found.counts, found.sums[:, 0])
    found_by_sums = detection(found.sums[:, 1], found.sums[:, 0])
    for row, taken in enumerate([(0, 2, 2, 3), (1, 1, 1, 2)]):
        s, w = (np.concatenate([values[start::4] for start in taken]) for values in (scores, wrong))
        for value, exact in zip(risks, risk_coverage(*_by(s, w)), strict=True):
            assert abs(value[row] - exact) < 2e-2
        assert abs(found_by_sums.auroc[row] - metrics.roc_auc_score(w, s)) < 1e-2
