"""Parts of the Brier score against scikit-learn's isotonic regression of every pixel, and the bands against loops."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from spotrust_jax.calibration.histogram import stacked
from spotrust_jax.metrics.corp import BANDS, along_outline, band_histograms, corp
from spotrust_jax.metrics.reliability import coarser_probabilities, probability_histogram


@pytest.fixture(scope="module")
def pixels():
    """Overconfident probabilities of four photographs."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-2, 2, (4, 1500))
    return expit(logits).astype(np.float32), rng.random(logits.shape) < expit(0.5 * logits - 0.5)


def _by_scikit_learn(p, y):
    best = brier_score_loss(y, IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y.astype(float)))
    uncertainty = y.mean() * (1 - y.mean())
    return brier_score_loss(y, p) - best, uncertainty - best, uncertainty


def test_parts_are_those_of_scikit_learn(pixels):
    p, y = (values.ravel() for values in pixels)
    found = corp(probability_histogram(p, y))
    np.testing.assert_allclose(found, _by_scikit_learn(p.astype(float), y), atol=2e-5)
    assert found.miscalibration > 0.01 and found.discrimination > 0.01
    exact = brier_score_loss(y, p)
    np.testing.assert_allclose(found.miscalibration - found.discrimination + found.uncertainty, exact, atol=1e-6)


def test_sets_of_photographs_and_their_order_do_not_matter(pixels):
    each = [probability_histogram(p, y) for p, y in zip(*pixels, strict=True)]
    found = corp(
        stacked([coarser_probabilities(one, 6) for one in each]).resampled(np.array([[1.0, 0, 2, 1], [0, 0, 0, 0]]))
    )
    taken = [0, 2, 2, 3]
    expected = _by_scikit_learn(pixels[0][taken].ravel().astype(float), pixels[1][taken].ravel())
    np.testing.assert_allclose([part[0] for part in found], expected, atol=1e-3)
    assert [part[1] for part in found] == [0, 0, 0]
    other = corp(each[3] + each[0] + (each[2] + each[1]))
    np.testing.assert_allclose(other, corp(each[0] + each[1] + each[2] + each[3]), rtol=1e-12)


def test_calibration_changes_miscalibration_alone(pixels):
    """Of the same pixels: what keeps their order leaves discrimination as it is."""
    p, y = (values.ravel() for values in pixels)
    right = expit(0.5 * logit(p.astype(np.float64)) - 0.5).astype(np.float32)
    before, after = (corp(probability_histogram(values, y)) for values in (p, right))
    # Isotonic regression fits what is random in 6,000 pixels, too.
    assert after.miscalibration < 0.2 * before.miscalibration
    np.testing.assert_allclose(after.discrimination, before.discrimination, atol=1e-4)
    assert after.uncertainty == pytest.approx(before.uncertainty, abs=1e-12)


def test_labels_of_one_kind_leave_nothing_to_discriminate():
    found = corp(probability_histogram(np.array([0.1, 0.4], np.float32), np.zeros(2, bool)))
    np.testing.assert_allclose(found, (0.085, 0, 0), atol=1e-6)


def test_bands_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    mask, truth, scored = np.zeros((40, 60), bool), rng.random((40, 60)) < 0.4, rng.random((40, 60)) < 0.9
    mask[10:25, 5:30] = True
    kinds = np.where(scored, mask, np.nan)
    near = [
        [
            len(set(kinds[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].ravel().tolist()) & {0.0, 1.0}) == 2
            for x in range(60)
        ]
        for y in range(40)
    ]  # a hundredth of the diagonal of 72 pixels is 1
    np.testing.assert_array_equal(along_outline(mask, scored), near)
    probability = rng.random((40, 60)).astype(np.float32)
    found = band_histograms(probability, mask, truth, scored)
    expected = dict(zip(BANDS, (~np.array(near), np.array(near), mask, ~mask), strict=True))
    for name, band in expected.items():
        assert found[name].counts.sum() == (band & scored).sum()
        assert found[name].sums[1].sum() == (band & scored & truth).sum()


def test_a_photograph_without_mask_has_no_outline():
    nothing = np.zeros((20, 30), bool)
    assert not along_outline(nothing, ~nothing).any() and not along_outline(~nothing, ~nothing).any()
