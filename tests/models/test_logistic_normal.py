"""Means of sigmoids under normal noise against integrals of scipy in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from spotrust_jax.models.logistic_normal import log_mean_sigmoids
from spotrust_jax.models.variants.logit_noise import LARGEST_LOG_VARIANCE

MEANS = [0.0, 0.01, -0.3, 1.0, -2.0, 4.0, -8.0, 16.0, -30.0, 60.0, -99.0]
STDS = np.exp(np.linspace(-LARGEST_LOG_VARIANCE / 2, LARGEST_LOG_VARIANCE / 2, 9)).astype(np.float32)


def log_integral(mean, std, power=0):
    """Logarithm of the mean of sigmoid(x), or of (1 - sigmoid(x)) sigmoid(x), from its largest integrand on."""

    def log_density(e):
        x = mean + std * e
        return -e * e / 2 - 0.5 * np.log(2 * np.pi) - np.logaddexp(0, -x) - power * np.logaddexp(0, x)

    mode = minimize_scalar(lambda e: -log_density(e), bounds=(-200, 200), method="bounded", options={"xatol": 1e-9}).x
    # The steep part of the sigmoid is around x = 0, and may be much narrower than the noise.
    steep = [-mean / std + offset / std for offset in (-20, -3, 0, 3, 20)]
    ends = sorted({mode - 12, mode, mode + 12, *(e for e in steep if abs(e - mode) < 12)})
    parts = itertools.pairwise(ends)
    integrand = lambda e: np.exp(log_density(e) - log_density(mode))  # noqa: E731
    return log_density(mode) + np.log(
        sum(quad(integrand, a, b, epsabs=0, epsrel=1e-11, limit=500)[0] for a, b in parts)
    )


@pytest.mark.parametrize("std", STDS)
def test_means_are_the_integrals_for_every_noise_that_is_allowed(std):
    means = np.array(MEANS, np.float32)
    positive, negative = log_mean_sigmoids(jnp.asarray(means), jnp.full_like(means, std))
    np.testing.assert_allclose(positive, [log_integral(float(m), float(std)) for m in means], atol=1e-5)
    np.testing.assert_allclose(negative, [log_integral(-float(m), float(std)) for m in means], atol=1e-5)
    np.testing.assert_allclose(np.exp(positive) + np.exp(negative), 1, atol=1e-6)


@pytest.mark.parametrize("std", STDS[::2])
def test_slopes_are_the_integrals_of_the_slopes(std):
    """Of the logarithm in the mean of the noise: the mean of p (1 - p) over that of p."""
    means = np.array([0.0, -2.0, 4.0, -16.0], np.float32)
    slope = jax.vmap(jax.grad(lambda m: log_mean_sigmoids(m, jnp.float32(std))[0]))(jnp.asarray(means))
    expected = [np.exp(log_integral(float(m), float(std), 1) - log_integral(float(m), float(std))) for m in means]
    np.testing.assert_allclose(slope, expected, rtol=2e-3, atol=1e-6)


def test_slopes_are_finite_everywhere():
    means, stds = np.meshgrid(np.linspace(-100, 100, 201).astype(np.float32), STDS)
    slopes = jax.vmap(jax.grad(lambda m, s: log_mean_sigmoids(m, s)[0], argnums=(0, 1)))(means.ravel(), stds.ravel())
    assert all(bool(jnp.isfinite(slope).all()) for slope in slopes)
