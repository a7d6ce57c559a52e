"""Losses against numpy in float64, scipy's integrals and minimisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from spotrust_jax.losses import attenuated_cross_entropy, normal_kl, variational_kl

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


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.1), (0.2, 0.05), (-0.1, 0.3)])
def test_kl_equals_a_numerical_integral(mean, deviation):
    posterior, prior = stats.norm(mean, deviation), stats.norm(0, 0.1)
    limits = (mean - 12 * deviation, mean + 12 * deviation)
    expected, _ = integrate.quad(lambda w: posterior.pdf(w) * (posterior.logpdf(w) - prior.logpdf(w)), *limits)
    actual = normal_kl(jnp.full((1,), mean), jnp.full((1,), deviation), 0.1)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_variational_kl_sums_over_bayesian_layers_only():
    rho = float(np.log(np.expm1(0.1)))  # softplus(rho) is the prior's deviation, so only the means count
    layer = {
        "kernel_mean": jnp.full((3, 3, 1, 1), 0.2),
        "kernel_rho": jnp.full((3, 3, 1, 1), rho),
        "bias_mean": jnp.full((1,), 0.1),
        "bias_rho": jnp.full((1,), rho),
    }
    params = {"bayesian_0": layer, "bayesian_1": layer, "head": {"kernel": jnp.ones((4,))}}
    # Each of nine kernel weights: (0.2 / 0.1)^2 / 2 = 2 nats; the bias: 0.5 nats.
    np.testing.assert_allclose(variational_kl(params, 0.1), 2 * (9 * 2 + 0.5), rtol=1e-4)
