"""Fits on pixels whose true parameters are known, and the promise of the conformal threshold over many splits."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from spotrust_jax.calibration.fitting import (
    best_f1_threshold,
    conformal_threshold,
    fit_platt_scaling,
    fit_temperature,
    miss_rates,
    of_groups,
)
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError
from spotrust_jax.metrics.reliability import equal_mass, probability_histogram, proper_scores


def _pixels(seed=0, count=200_000):
    """Logits too high by log 7 and too large by a half, as a positive weight of 7 and overconfidence make them."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-2, 2, count)
    return expit(1.5 * true + np.log(7)).astype(np.float32), rng.random(count) < expit(true)


def test_platt_scaling_finds_slope_and_intercept():
    probability, truth = _pixels()
    found = fit_platt_scaling(probability_histogram(probability, truth), 7.0)
    np.testing.assert_allclose((found.slope, found.intercept), (1 / 1.5, -np.log(7) / 1.5), atol=0.02)
    logits = np.log(probability.astype(np.float64)) - np.log1p(-probability.astype(np.float64))
    reference = LogisticRegression(C=np.inf).fit(logits[:, None], truth)
    np.testing.assert_allclose(
        (found.slope, found.intercept), (reference.coef_[0, 0], reference.intercept_[0]), atol=2e-3
    )


def test_calibrated_probabilities_mean_what_they_say():
    histogram = probability_histogram(*_pixels())
    probability, truth = _pixels(seed=1)
    platt, temperature = fit_platt_scaling(histogram), fit_temperature(histogram)
    scores = [proper_scores(c(probability), truth).likelihood for c in (platt, temperature, PlattScaling())]
    assert scores[0] < scores[1] < scores[2]
    assert equal_mass(probability_histogram(platt(probability), truth)).expected_error < 0.005
    assert equal_mass(probability_histogram(temperature(probability), truth)).expected_error > 0.05
    assert temperature.intercept == 0.0


def test_calibration_keeps_type_order_and_the_ends():
    probability = np.array([[0.0, 1e-7, 0.3, 0.999, 1.0]], np.float32)
    calibrated = PlattScaling(0.5, -1.0)(probability)
    assert calibrated.dtype == np.float32 and (np.diff(calibrated) > 0).all() and np.isfinite(calibrated).all()
    assert PlattScaling()(probability) is probability


def test_best_threshold_has_the_best_f1():
    probability, truth = _pixels(count=3000)
    threshold = best_f1_threshold(probability_histogram(probability, truth))
    best = max(f1_score(truth, probability >= value) for value in np.unique(probability)[::5])
    assert f1_score(truth, probability >= threshold) > best - 2e-3


def test_miss_rates_are_shares_of_corrosion_below_the_threshold():
    probability = np.array([[0.1, 0.4, 0.4, 0.9]], np.float32)
    truth = np.array([[True, True, False, True]])
    thresholds = np.array([0.0, float(np.float32(0.4)), 0.5, 1.0])
    np.testing.assert_allclose(miss_rates(probability, truth, thresholds), [0, 1 / 3, 2 / 3, 1])
    assert miss_rates(probability, np.zeros_like(truth), thresholds).tolist() == [0, 0, 0, 0]
    grouped = of_groups(np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]), ["b", "b", "a"])
    assert grouped.tolist() == [[0.5, 0.5], [0.5, 1.0]]


def test_conformal_threshold_keeps_its_promise():
    rng = np.random.default_rng(0)
    thresholds = np.linspace(0, 1, 1001)
    # Of each group the corrosion is found up to a probability of its own.
    rates = np.array([miss_rates(rng.beta(a, 2, 300), np.ones(300, bool), thresholds) for a in rng.uniform(1, 8, 300)])
    realised = []
    for _ in range(100):
        order = rng.permutation(300)
        threshold = conformal_threshold(rates[order[:150]], thresholds, 0.1)
        realised.append(rates[order[150:], np.searchsorted(thresholds, threshold)].mean())
    error = np.std(realised) / np.sqrt(len(realised))
    assert 0.07 <= np.mean(realised) <= 0.1 + 2 * error


def test_what_cannot_be_fitted_is_one_line():
    probability, truth = _pixels(count=100)
    for labels, words in ((np.zeros(100, bool), "no corrosion"), (np.ones(100, bool), "nothing but corrosion")):
        with pytest.raises(InputError, match=words):
            fit_platt_scaling(probability_histogram(probability, labels))
    with pytest.raises(InputError, match="leaves nothing to fit"):
        fit_temperature(probability_histogram(np.full(100, 0.4, np.float32), truth))
    with pytest.raises(InputError, match="from 5 groups, whatever the threshold: give 9 or more"):
        conformal_threshold(np.zeros((5, 2)), np.array([0.0, 1.0]), 0.1)
