"""Every measure of a few photographs against every pixel in float64, in any order and with pixels left out."""

import functools
import operator

import numpy as np
import pytest
from sklearn import metrics

from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.metrics.corp import RELIABILITY
from spotrust_jax.metrics.pixel_scores import (
    UNCERTAINTIES,
    patch_histogram,
    pixel_scores,
    stacked_scores,
    uncertainty_maps,
)
from spotrust_jax.metrics.probabilities import PROBABILITIES
from spotrust_jax.metrics.ranking_errors import RANKING_ERRORS, patch_scores, ranked

THRESHOLD = 0.4


def _photograph(seed: int):
    """A prediction with a ground truth that is the likelier the higher the probability, and pixels that are ignored."""
    rng = np.random.default_rng(seed)
    shape = (rng.integers(18, 30), rng.integers(18, 30))
    draw = lambda scale: (scale * rng.random(shape) ** 3).astype(np.float32)  # noqa: E731
    logits = rng.normal(-1, 3, shape)
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    maps = {"entropy": draw(0.69), "mutual_information": draw(0.2), "pass_variance": draw(0.25)}
    prediction = Prediction(probability, draw(0.5), rng.normal(0, 1, shape).astype(np.float32), THRESHOLD, **maps)
    return prediction, rng.random(shape) < probability**1.5, rng.random(shape) < 0.1


@pytest.fixture(scope="module")
def photographs():
    return [_photograph(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def scores(photographs):
    return [pixel_scores(p, p.mask(), truth, ~ignored) for p, truth, ignored in photographs]


@pytest.fixture(scope="module")
def pooled(scores):
    return functools.reduce(operator.add, scores)


def _pixels(photographs, values):
    """What a function makes of each photograph, where it is not ignored, one after the other."""
    return np.concatenate([values(p, truth)[~ignored] for p, truth, ignored in photographs]).astype(np.float64)


def _equal(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=tolerance, err_msg=name)


def _risks(uncertainty, errors):
    return np.cumsum(errors[uncertainty.argsort(kind="stable")]) / np.arange(1, len(errors) + 1)


def test_probabilities_equal_direct_sums(photographs, pooled):
    p, y = (_pixels(photographs, f) for f in (lambda p, t: p.probability, lambda p, t: t))
    found = PROBABILITIES.compute(pooled)
    np.testing.assert_allclose(found["negative_log_likelihood"], metrics.log_loss(y, p), atol=1e-6)
    np.testing.assert_allclose(found["brier"], metrics.brier_score_loss(y, p), atol=1e-6)
    np.testing.assert_allclose(found["brier_skill"], 1 - np.mean((p - y) ** 2) / y.var(), atol=1e-6)
    np.testing.assert_allclose(found["sharpness"], p.var(), atol=1e-6)
    group = np.minimum((15 * p).astype(int), 14)
    gaps = np.array([abs((p - y)[group == g].mean()) for g in range(15)])
    np.testing.assert_allclose(found["ece"], (np.bincount(group) / len(p) * gaps).sum(), atol=1e-6)
    np.testing.assert_allclose(found["mce"], gaps.max(), atol=1e-6)
    order = p.argsort()
    gaps = [abs((p - y)[part].mean()) for part in np.array_split(order, 15)]
    np.testing.assert_allclose(found["ece_equal_mass"], np.mean(gaps), atol=2e-3)


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_ranking_equals_sorting(photographs, pooled, name):
    uncertainty, p, y = (
        _pixels(photographs, f)
        for f in (lambda p, t: uncertainty_maps(p, p.mask())[name], lambda p, t: p.probability, lambda p, t: t)
    )
    wrong, squared = (p >= THRESHOLD) != y, (p - y) ** 2
    found = RANKING_ERRORS.compute(ranked(pooled, name))
    risks = _risks(uncertainty, wrong)
    np.testing.assert_allclose(found["aurc"], risks.mean(), atol=1e-3)
    covered = np.arange(1, len(risks) + 1) / len(risks)
    np.testing.assert_allclose(found["augrc"], (risks * covered).mean(), atol=1e-3)
    np.testing.assert_allclose(found["excess_aurc"], (risks - _risks(wrong, wrong)).mean(), atol=1e-3)
    np.testing.assert_allclose(found["risk_at_coverage"], risks[int(0.8 * len(risks)) - 1], atol=1e-3)
    ause = (_risks(uncertainty, squared) - _risks(squared, squared)).mean() / squared.mean()
    np.testing.assert_allclose(found["ause"], ause, atol=1e-3)


def test_expected_error_is_the_probability_that_the_mask_is_wrong(photographs):
    prediction, _, _ = photographs[0]
    for threshold in (0.2, 0.5, 0.8):
        mask = prediction.mask(threshold)
        error = uncertainty_maps(prediction, mask)["expected_error"]
        np.testing.assert_array_equal(error[mask], 1 - prediction.probability[mask])
        np.testing.assert_array_equal(error[~mask], prediction.probability[~mask])


def test_order_and_division_do_not_matter(scores, pooled):
    other = (scores[3] + scores[1]) + (scores[4] + (scores[0] + scores[2]))
    _equal(PROBABILITIES.compute(other), PROBABILITIES.compute(pooled), 1e-12)
    for name in UNCERTAINTIES:
        _equal(RANKING_ERRORS.compute(ranked(other, name)), RANKING_ERRORS.compute(ranked(pooled, name)), 1e-12)


def test_resampled_photographs_are_those_photographs(scores):
    weights = np.array([[2, 0, 1, 0, 2], [1, 1, 1, 1, 1]], float)
    found = stacked_scores(scores).resampled(weights)
    for row, taken in enumerate([(0, 0, 2, 4, 4), (0, 1, 2, 3, 4)]):
        expected = functools.reduce(operator.add, [scores[i] for i in taken])
        np.testing.assert_array_equal(found.confusion[row], expected.confusion)
        pick = lambda values, row=row: {name: value[row] for name, value in values.items()}  # noqa: E731
        measures = pick(PROBABILITIES.compute(found))
        for name in ("ece_equal_mass", "mce_equal_mass"):  # whose bins are those of all sets
            del measures[name]
        expected_measures = {name: PROBABILITIES.compute(expected)[name] for name in measures}
        _equal(measures, expected_measures, 1e-9)
        for band, parts in expected.corp.items():
            _equal(pick(RELIABILITY.compute(found.corp[band])), RELIABILITY.compute(parts), 1e-9)
        _equal(
            pick(RANKING_ERRORS.compute(ranked(found, "entropy"))),
            RANKING_ERRORS.compute(ranked(expected, "entropy")),
            1e-9,
        )


def test_coarser_bins_are_close_enough_for_intervals(pooled):
    found, exact = (RANKING_ERRORS.compute(ranked(one, "entropy")) for one in (pooled.coarser, pooled))
    assert abs(found["aurc"] - exact["aurc"]) < 3e-3 and abs(found["ause"] - exact["ause"]) < 1e-2
    assert len(pooled.coarser.ranked["entropy"].bins) < len(pooled.ranked["entropy"].bins)


def test_patches_equal_a_loop(photographs):
    prediction, truth, ignored = photographs[0]
    wrong, side, cut = np.random.default_rng(9).random(truth.shape) < 0.5, 5, 0.05
    accurate, certain = [], []
    for top in range(0, truth.shape[0], side):
        for left in range(0, truth.shape[1], side):
            window = np.s_[top : top + side, left : left + side]
            scored = ~ignored[window]
            if scored.any():
                accurate.append(wrong[window][scored].mean() <= 0.5)
                certain.append(prediction.mutual_information[window][scored].mean(dtype=np.float64) <= cut)
    accurate, certain = np.array(accurate), np.array(certain)
    assert 0 < accurate.mean() < 1 and 0 < certain.mean() < 1
    patches = patch_histogram(prediction.mutual_information, wrong, ~ignored, side)
    found = patch_scores(patches, certain.mean())
    np.testing.assert_allclose(found.pavpu, (accurate == certain).mean(), atol=1e-9)
    np.testing.assert_allclose(found.accurate_if_certain, accurate[certain].mean(), atol=1e-9)
    np.testing.assert_allclose(found.uncertain_if_inaccurate, (~certain)[~accurate].mean(), atol=1e-9)


def test_what_is_ignored_does_not_count(photographs, scores):
    prediction, truth, ignored = photographs[0]
    other = np.where(ignored, ~truth, truth)
    changed = prediction.map(lambda values: np.where(ignored, np.float32(0.123), values))
    found = pixel_scores(changed, changed.mask(), other, ~ignored)
    _equal(PROBABILITIES.compute(found), PROBABILITIES.compute(scores[0]), 0)
    for name in UNCERTAINTIES:
        _equal(RANKING_ERRORS.compute(ranked(found, name)), RANKING_ERRORS.compute(ranked(scores[0], name)), 0)
