"""Calibration metrics against sums over every pixel in float64."""

import numpy as np
import pytest
from sklearn import metrics

from spotrust_jax.calibration.histogram import stacked
from spotrust_jax.metrics.reliability import (
    ProperScores,
    coarser_probabilities,
    equal_mass,
    equal_width,
    probability_histogram,
    proper_scores,
)


@pytest.fixture(scope="module")
def pixels():
    """Overconfident probabilities, many of them saturated."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-2, 3, (5, 20, 40))
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-0.5 * logits))
    probability = 1 / (1 + np.exp(-logits))
    probability[0] = probability[0] > 0.5
    return probability.astype(np.float32), truth


def test_proper_scores_equal_direct_sums(pixels):
    probability, truth = pixels
    each = [proper_scores(p, t) for p, t in zip(probability, truth, strict=True)]
    found = ProperScores(*np.sum(each, axis=0).tolist())
    exact = probability.astype(np.float64)
    np.testing.assert_allclose(found.brier, metrics.brier_score_loss(truth.ravel(), exact.ravel()), atol=1e-12)
    np.testing.assert_allclose(found.brier_skill, 1 - found.brier / truth.var(), atol=1e-12)
    likelihood = metrics.log_loss(truth.ravel(), np.clip(exact, 2.0**-24, 1 - 2.0**-24).ravel())
    np.testing.assert_allclose(found.likelihood, likelihood, rtol=1e-9)


def test_a_sure_error_costs_much_but_not_infinitely_much():
    found = proper_scores(np.array([0.0], np.float32), np.array([True]))
    np.testing.assert_allclose(found.likelihood, 24 * np.log(2))


def test_equal_width_equals_direct_sums(pixels):
    probability, truth = pixels
    states = [probability_histogram(p, t) for p, t in zip(probability, truth, strict=True)]
    found = equal_width(states[3] + states[1] + states[0] + states[4] + states[2])
    p, t = probability.ravel().astype(np.float64), truth.ravel()
    group = np.minimum((p * 15).astype(int), 14)
    there = [g for g in range(15) if (group == g).any()]
    assert found.counts.tolist() == [(group == g).sum() for g in range(15)]
    gaps = [abs(p[group == g].mean() - t[group == g].mean()) for g in there]
    expected = sum((group == g).mean() * gap for g, gap in zip(there, gaps, strict=True))
    np.testing.assert_allclose(found.expected_error, expected, atol=1e-9)
    np.testing.assert_allclose(found.maximum_error, max(gaps), atol=1e-9)


def test_equal_mass_has_bins_of_one_size(pixels):
    probability, truth = pixels[0][1:], pixels[1][1:]
    found = equal_mass(probability_histogram(probability, truth), 10)
    assert found.counts.sum() == truth.size and found.counts.max() < 1.1 * found.counts.min()
    order = probability.ravel().argsort(kind="stable")
    starts = np.concatenate([[0], found.counts.cumsum().astype(int)])
    for start, end, predicted, observed in zip(starts[:-1], starts[1:], found.predicted, found.observed, strict=True):
        np.testing.assert_allclose(probability.ravel()[order][start:end].mean(dtype=np.float64), predicted, atol=1e-6)
        np.testing.assert_allclose(truth.ravel()[order][start:end].mean(), observed, atol=0.02)
    gaps = np.abs(found.predicted - found.observed)
    assert found.maximum_error == gaps.max() > found.expected_error > 0.05


def test_constant_predictions_are_one_bin():
    truth = np.arange(100) < 30
    found = equal_mass(probability_histogram(np.full(100, 0.3, np.float32), truth))
    assert sorted(found.counts)[-2:] == [0, 100]
    np.testing.assert_allclose(found.expected_error, 0.0, atol=1e-7)


def test_sets_of_images_at_once_equal_each_alone(pixels):
    """Images drawn with replacement, from coarser bins, whose edges still keep to the bins of one width."""
    histograms = [probability_histogram(p, t) for p, t in zip(*pixels, strict=True)]
    weights = np.array([[1, 0, 2, 0, 2], [0, 1, 1, 1, 2]], float)
    found = equal_width(stacked([coarser_probabilities(h, 6) for h in histograms]).resampled(weights))
    for row, taken in enumerate([(0, 2, 2, 4, 4), (1, 2, 3, 4, 4)]):
        expected = equal_width(probability_histogram(pixels[0][list(taken)], pixels[1][list(taken)]))
        np.testing.assert_allclose(found.expected_error[row], expected.expected_error, atol=1e-9)
        np.testing.assert_allclose(found.maximum_error[row], expected.maximum_error, atol=1e-9)
