"""Failures of photographs and regions by hand, and their detection against scikit-learn."""

import functools
import operator

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from spotrust_jax.calibration.histogram import score_histogram, stacked
from spotrust_jax.metrics.failures import failure_auroc, photograph_failure, region_failures

ALL = np.ones((20, 20), bool)


def _square(top, left, side):
    mask = np.zeros((20, 20), bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "truth", "failed"),
    [
        (_square(0, 0, 8), _square(0, 0, 8), False),
        (_square(0, 0, 8), _square(0, 5, 8), True),  # IoU 24 / 104
        (_square(0, 0, 8), _square(0, 2, 8), False),  # IoU 48 / 80
        (_square(0, 0, 2), _square(0, 0, 0), False),  # clean, 4 of 400 pixels false: not more than 1%
        (_square(0, 0, 3), _square(0, 0, 0), True),  # clean, 9 of 400
        (_square(0, 0, 0), _square(0, 0, 5), True),  # all missed
    ],
)
def test_photograph_fails_by_the_rule(mask, truth, failed):
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    found = photograph_failure({"entropy": values}, mask, truth, ALL)["entropy"]
    assert found.counts.tolist() == [1] and found.sums.tolist() == [[failed]]
    assert found.bins == score_histogram(np.array([0.5])).bins


def test_regions_fail_by_the_rule():
    """A true region, one that touches another at a corner alone and is a quarter corrosion with it, and a small one."""
    mask = _square(0, 0, 5) | _square(10, 0, 4) | _square(14, 4, 4) | _square(0, 15, 3)
    truth = _square(0, 0, 5) | (_square(10, 0, 4) & (np.arange(20) < 2)[None])
    values = (0.1 * _square(0, 0, 5) + 0.7 * _square(10, 0, 4) + 0.9 * _square(14, 4, 4)).astype(np.float32)
    found = region_failures({"entropy": values}, mask, truth, ALL)["entropy"]
    expected = score_histogram(np.array([0.1, 0.8]), np.array([0, 1]))
    np.testing.assert_array_equal(found.bins, expected.bins)
    np.testing.assert_array_equal(found.sums, expected.sums)


def test_ignored_pixels_count_in_neither():
    mask, truth, scored = _square(0, 0, 8), _square(0, 0, 3), ~_square(0, 3, 8)
    found = photograph_failure({"entropy": np.zeros((20, 20), np.float32)}, mask & scored, truth, scored)["entropy"]
    changed = photograph_failure({"entropy": np.zeros((20, 20), np.float32)}, mask | ~scored, truth | ~scored, scored)
    np.testing.assert_array_equal(found.sums, changed["entropy"].sums)
    # 15 scored pixels of 64 are too few for a region.
    few = region_failures(
        {"entropy": np.zeros((20, 20), np.float32)}, mask, truth, _square(0, 0, 5) & (np.arange(20) < 3)
    )
    assert few["entropy"].counts.size == 0


def test_detection_is_that_of_scikit_learn_over_photographs_in_any_order():
    rng = np.random.default_rng(0)
    scores, failed = rng.random((6, 10)), rng.random((6, 10)) < 0.3
    scores += 0.3 * failed
    each = [score_histogram(s, f) for s, f in zip(scores, failed, strict=True)]
    expected = roc_auc_score(failed.ravel(), scores.ravel())
    np.testing.assert_allclose(failure_auroc(functools.reduce(operator.add, each[::-1])), expected, atol=2e-3)
    weights = np.array([[1.0, 0, 2, 0, 1, 0], [0, 0, 0, 0, 0, 0]])
    taken = [0, 2, 2, 4]
    found = failure_auroc(stacked(each).resampled(weights))
    np.testing.assert_allclose(found, [roc_auc_score(failed[taken].ravel(), scores[taken].ravel()), 0.5], atol=2e-3)


def test_without_failures_there_is_nothing_to_detect():
    assert failure_auroc(score_histogram(np.array([0.1, 0.2]), np.zeros(2))) == 0.5
    assert failure_auroc(score_histogram(np.zeros(0), np.zeros(0))) == 0.5
