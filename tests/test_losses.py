"""Losses against numpy in float64, scipy's integrals and minimisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from spotrust_jax.config import LossConfig
from spotrust_jax.errors import InputError
from spotrust_jax.losses import (
    attenuated_cross_entropy,
    dice_loss,
    focal_loss,
    logit_noise_cross_entropy,
)
from spotrust_jax.models.variants.variational import bayesian_means, normal_kl, variational_kl
from spotrust_jax.random import fold_indices
from spotrust_jax.training.objective import data_loss

KINDS = ("attenuated", "dice", "combo", "focal", "logit_noise", "cross_entropy")
KEYS = fold_indices(jax.random.key(0), jnp.arange(2))
EVALUATE = jax.jit(jax.value_and_grad(data_loss, argnums=(0, 1)), static_argnums=4)
SETTINGS = {"positive_weight": 7.035, "bound": 10.0, "bounding": "smooth"}


def test_equals_equation_one_in_float64():
    rng = np.random.default_rng(0)
    logits, log_variance = rng.normal(0, 3, (2, 5, 7)), rng.normal(0, 2, (2, 5, 7))
    labels = (rng.random((2, 5, 7)) < 0.3).astype(float)
    p = 1 / (1 + np.exp(-logits))
    cross_entropy = -(7.035 * labels * np.log(p) + (1 - labels) * np.log(1 - p))
    s = 10 * np.tanh(log_variance / 10)
    expected = np.mean(0.5 * (np.exp(-s) * cross_entropy + s))
    arrays = [jnp.asarray(values, jnp.float32) for values in (logits, log_variance, labels)]
    with jax.numpy_dtype_promotion("strict"):
        actual = attenuated_cross_entropy(*arrays, **SETTINGS)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def _maps(seed: int = 1) -> list[np.ndarray]:
    """Logits, log variances and labels of two images, float64."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 3, (2, 5, 7)), rng.normal(0, 2, (2, 5, 7)), (rng.random((2, 5, 7)) < 0.3).astype(float)]


def _float32(*arrays: np.ndarray) -> list[jax.Array]:
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def _logistic(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _dice(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = _logistic(logits)
    return np.array([1 - (2 * (a * b).sum() + 2) / (a.sum() + b.sum() + 2) for a, b in zip(p, labels, strict=True)])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_equals_its_formula_in_float64(gamma):
    logits, _, labels = _maps()
    p = np.where(labels == 1, _logistic(logits), 1 - _logistic(logits))
    expected = np.where(labels == 1, 7.035, 1.0) * (1 - p) ** gamma * -np.log(p)
    np.testing.assert_allclose(focal_loss(*_float32(logits, labels), 7.035, gamma), expected, rtol=2e-5)


def test_dice_loss_equals_its_formula_in_float64():
    logits, _, labels = _maps()
    labels[1] = 0
    np.testing.assert_allclose(dice_loss(*_float32(logits, labels)), _dice(logits, labels), rtol=1e-6)
    # All right, also where nothing is corroded; all wrong.
    right, wrong = (dice_loss(*_float32(40 * sign * (2 * labels - 1), labels)) for sign in (1, -1))
    np.testing.assert_allclose(right, 0, atol=1e-6)
    assert (wrong > 0.9).all()


def test_logit_noise_equals_the_integral_over_the_noise():
    logits, log_variance, labels = np.array([2.0, -1.0, 0.5]), np.array([1.0, 0.0, -2.0]), np.array([1.0, 1.0, 0.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    sigma = np.exp(5 * np.tanh(log_variance / 10))
    probability = _logistic(logits[:, None] + sigma[:, None] * nodes) @ weights / weights.sum()
    likelihood = np.where(labels == 1, probability, 1 - probability)
    expected = np.mean(-np.where(labels == 1, 7.035, 1.0) * np.log(likelihood))
    # Two images alike, 100,000 draws: the standard error is about 1e-3.
    arrays = _float32(*(np.broadcast_to(values, (2, 1, 3)) for values in (logits, log_variance, labels)))
    actual = logit_noise_cross_entropy(*arrays, KEYS, noise_samples=100_000, **SETTINGS)
    np.testing.assert_allclose(actual, expected, rtol=4e-3)


def test_logit_noise_of_no_variance_is_the_cross_entropy():
    logits, _, labels = _maps()
    expected = np.mean(np.where(labels == 1, 7.035 * np.log1p(np.exp(-logits)), np.log1p(np.exp(logits))))
    arrays = _float32(logits, np.full_like(logits, -1e4), labels)
    settings = {**SETTINGS, "bound": 30.0}
    np.testing.assert_allclose(logit_noise_cross_entropy(*arrays, KEYS, noise_samples=3, **settings), expected, 1e-5)


def test_logit_noise_of_an_image_is_that_of_its_key():
    arrays = _float32(*_maps())
    both = logit_noise_cross_entropy(*arrays, KEYS, noise_samples=4, **SETTINGS)
    each = [
        logit_noise_cross_entropy(*(a[i : i + 1] for a in arrays), KEYS[i : i + 1], noise_samples=4, **SETTINGS)
        for i in (0, 1)
    ]
    np.testing.assert_allclose(both, np.mean(each), rtol=1e-6)


def test_combo_adds_dice_and_focal_is_attenuated():
    logits, log_variance, labels = _maps()
    arrays, s = _float32(logits, log_variance, labels), 10 * np.tanh(log_variance / 10)
    cross_entropy = np.where(labels == 1, 7.035 * np.log1p(np.exp(-logits)), np.log1p(np.exp(logits)))
    p = np.where(labels == 1, _logistic(logits), 1 - _logistic(logits))
    combo = np.mean(0.5 * (np.exp(-s) * cross_entropy + s)) + 0.7 * _dice(logits, labels).mean()
    focal = np.mean(0.5 * (np.exp(-s) * (1 - p) ** 1.5 * cross_entropy + s))
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_allclose(data_loss(*arrays, KEYS, LossConfig("combo", dice_weight=0.7)), combo, rtol=1e-5)
        np.testing.assert_allclose(data_loss(*arrays, KEYS, LossConfig("focal", focal_gamma=1.5)), focal, rtol=1e-5)


def test_cross_entropy_is_not_attenuated_and_the_log_variance_learns_beside_it():
    logits, log_variance, labels = _maps()
    arrays, s = _float32(logits, log_variance, labels), 10 * np.tanh(log_variance / 10)
    cross_entropy = np.where(labels == 1, 7.035 * np.log1p(np.exp(-logits)), np.log1p(np.exp(logits)))
    expected = np.mean(cross_entropy + 0.5 * (np.exp(-s) * cross_entropy + s)) + 0.7 * _dice(logits, labels).mean()
    value, (by_logits, by_s) = EVALUATE(*arrays, KEYS, LossConfig("cross_entropy", dice_weight=0.7))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    # Gradients of the weighted cross-entropy's mean, by hand, and of Dice.
    p, weight = _logistic(logits), np.where(labels == 1, 7.035, 1.0)
    by_dice = jax.grad(lambda logits: dice_loss(logits, arrays[2]).mean())(arrays[0])
    np.testing.assert_allclose(by_logits, weight * (p - labels) / p.size + 0.7 * by_dice, rtol=1e-4, atol=1e-8)
    _, (_, as_attenuated) = EVALUATE(*arrays, KEYS, LossConfig("attenuated"))
    np.testing.assert_allclose(by_s, as_attenuated, rtol=1e-5, atol=1e-9)


def test_under_dice_the_log_variance_learns_from_the_cross_entropy_and_the_logits_do_not():
    arrays = _float32(*_maps())
    _, (by_logits, by_s) = EVALUATE(*arrays, KEYS, LossConfig("dice"))
    expected = jax.grad(lambda logits: dice_loss(logits, arrays[2]).mean())(arrays[0])
    np.testing.assert_allclose(by_logits, expected, rtol=1e-5, atol=1e-9)
    _, (_, as_attenuated) = EVALUATE(*arrays, KEYS, LossConfig("attenuated"))
    np.testing.assert_allclose(by_s, as_attenuated, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_at_saturated_outputs_are_finite(kind):
    extremes = np.array([-1e4, -90.0, 0.0, 90.0, 1e4])
    logits, log_variance, labels = (a.reshape(1, 10, 5) for a in np.meshgrid(extremes, extremes, [0.0, 1.0]))
    arrays = _float32(logits, log_variance, labels)
    value, gradients = EVALUATE(*arrays, KEYS[:1], LossConfig(kind))
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_falls_along_its_gradient_and_moves_both_outputs(kind):
    logits, log_variance, labels = _float32(*_maps())
    value, (by_logits, by_s) = EVALUATE(logits, log_variance, labels, KEYS, LossConfig(kind))
    assert (np.abs(by_logits) > 0).mean() > 0.9 and (np.abs(by_s) > 0).mean() > 0.9
    moved, _ = EVALUATE(logits - 0.1 * by_logits, log_variance - 0.1 * by_s, labels, KEYS, LossConfig(kind))
    assert moved < value


@pytest.mark.parametrize(
    "values", [{"noise_samples": 0}, {"focal_gamma": -1.0}, {"positive_weight": 0.0}, {"dice_weight": float("nan")}]
)
def test_settings_of_losses_that_cannot_be(values):
    with pytest.raises(InputError, match=f"loss.{next(iter(values))}"):
        LossConfig(**values)


def test_may_be_negative():
    """The reference takes an absolute value, which turns the reward for a certain, right pixel into a penalty."""
    ones = jnp.ones((1, 1, 1))
    assert attenuated_cross_entropy(20 * ones, -3 * ones, ones, **SETTINGS) < -1


def test_optimal_log_variance_is_the_log_of_the_expected_cross_entropy():
    labels = np.array([1.0] * 3 + [0.0] * 7)
    logits = np.full(10, -0.5)
    cross_entropy = np.mean(np.log1p(np.exp(-logits)) * labels + np.log1p(np.exp(logits)) * (1 - labels))

    def loss(raw: float) -> float:
        shape = (1, 1, 10)
        arrays = [jnp.asarray(np.broadcast_to(v, shape), jnp.float32) for v in (logits, raw, labels)]
        return float(attenuated_cross_entropy(*arrays, positive_weight=1.0, bound=10.0, bounding="smooth"))

    best = optimize.minimize_scalar(loss, bounds=(-5, 5), method="bounded").x
    np.testing.assert_allclose(10 * np.tanh(best / 10), np.log(cross_entropy), atol=2e-3)


@pytest.mark.parametrize(("bounding", "vanishes"), [("smooth", False), ("clamp", True)])
def test_gradient_beyond_the_bound(bounding, vanishes):
    ones = jnp.ones((1, 1, 1))
    gradient = jax.grad(
        lambda raw: attenuated_cross_entropy(ones, raw * ones, ones, positive_weight=1.0, bound=10.0, bounding=bounding)
    )(15.0)
    assert (gradient == 0) == vanishes


@pytest.mark.parametrize(("mean", "std", "centre"), [(0.0, 0.1, 0.0), (0.2, 0.05, 0.15), (-0.1, 0.3, 0.1)])
def test_kl_equals_a_numerical_integral(mean, std, centre):
    posterior, prior = stats.norm(mean, std), stats.norm(centre, 0.1)
    limits = (mean - 12 * std, mean + 12 * std)
    expected, _ = integrate.quad(lambda w: posterior.pdf(w) * (posterior.logpdf(w) - prior.logpdf(w)), *limits)
    actual = normal_kl(jnp.full((1,), mean), jnp.full((1,), std), 0.1, jnp.full((1,), centre))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_variational_kl_sums_over_bayesian_layers_only():
    rho = float(np.log(np.expm1(0.1)))  # softplus(rho) is the prior's standard deviation, so only the means count
    layer = {
        "kernel_mean": jnp.full((3, 3, 1, 1), 0.2),
        "kernel_rho": jnp.full((3, 3, 1, 1), rho),
        "bias_mean": jnp.full((1,), 0.1),
        "bias_rho": jnp.full((1,), rho),
    }
    params = {"bayesian_0": layer, "bayesian_1": layer, "head": {"kernel": jnp.ones((4,))}}
    # Each of nine kernel weights: (0.2 / 0.1)^2 / 2 = 2 nats; the bias: 0.5 nats.
    np.testing.assert_allclose(variational_kl(params, 0.1), 2 * (9 * 2 + 0.5), rtol=1e-4)
    # A prior centred on half the means leaves a quarter; centred on the means, nothing.
    halves = jax.tree.map(lambda mean: mean / 2, bayesian_means(params))
    np.testing.assert_allclose(variational_kl(params, 0.1, halves), (9 * 2 + 0.5) / 2, rtol=1e-4)
    np.testing.assert_allclose(variational_kl(params, 0.1, bayesian_means(params)), 0, atol=1e-4)
