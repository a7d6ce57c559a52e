"""The parts where noise enters, against closed forms and against brute force in numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.head import BranchwiseConv
from spotrust_jax.models.initialization import initial_values
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.resize import resize
from spotrust_jax.models.variants.dropout import dropout
from spotrust_jax.models.variants.variational import BayesianConv


@pytest.fixture(scope="module")
def bayesian():
    """A layer of two channels with its variables, and an input."""
    layer = BayesianConv(2, Policy())
    x = jax.random.normal(jax.random.key(1), (1, 4, 5, 2))
    return layer, initial_values(layer, jax.random.key(0), x, method="mean"), x


def test_initial_weights_are_those_of_the_paper(bayesian):
    big = BayesianConv(64, Policy())
    params = initial_values(big, jax.random.key(0), jnp.zeros((1, 1, 1, 64)), method="mean")["params"]
    np.testing.assert_allclose(jnp.mean(params["kernel_mean"]), 0.0, atol=0.003)
    np.testing.assert_allclose(jnp.std(params["kernel_mean"]), 0.1, rtol=0.02)
    np.testing.assert_allclose(jnp.mean(params["kernel_rho"]), -3.0, atol=0.003)
    np.testing.assert_allclose(jnp.std(params["kernel_rho"]), 0.1, rtol=0.02)


def test_moments_equal_a_direct_sum(bayesian):
    layer, variables, x = bayesian
    mean, std = layer.apply(variables, x, method="moments")
    params = {name: np.asarray(value, np.float64) for name, value in variables["params"].items()}
    sigma = np.log1p(np.exp(params["kernel_rho"]))
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    patch = padded[0, 2:5, 1:4]  # around row 2, column 1
    expected_mean = np.einsum("hwi,hwio->o", patch, params["kernel_mean"]) + params["bias_mean"]
    variance = np.einsum("hwi,hwio->o", patch**2, sigma**2) + np.log1p(np.exp(params["bias_rho"])) ** 2
    np.testing.assert_allclose(mean[0, 2, 1], expected_mean, rtol=1e-5)
    np.testing.assert_allclose(std[0, 2, 1], np.sqrt(variance), rtol=1e-5)


def test_kernel_draws_have_the_moments_of_the_closed_form(bayesian):
    layer, variables, x = bayesian
    keys = jax.random.split(jax.random.key(2), 4000)
    draws = jax.jit(jax.vmap(lambda key: layer.apply(variables, x, key, method="draw")))(keys)
    mean, std = layer.apply(variables, x, method="moments")
    error = np.abs(draws.mean(0) - mean) / (std / np.sqrt(4000))
    assert np.max(error) < 5
    np.testing.assert_allclose(draws.std(0), std, rtol=0.06)


@pytest.mark.parametrize("mask", ["element", "channel"])
def test_dropout_is_bernoulli_and_keeps_the_mean(mask):
    x = jnp.full((2, 16, 16, 32), 3.0)
    keys = jax.random.split(jax.random.key(0), 2)
    noise = NoiseKeys(weights=keys[0], masks=keys, cells=keys)
    out = np.asarray(dropout(x, noise, 0, rate=0.25, mask=mask))
    np.testing.assert_allclose(np.unique(out), [0.0, 4.0])
    whole_channels = (out == out[:, :1, :1, :]).all()
    assert whole_channels == (mask == "channel")
    assert not np.array_equal(out[0], out[1])
    kept = (out > 0).mean()
    cells = out.size if mask == "element" else 2 * 32
    assert abs(kept - 0.75) < 5 * np.sqrt(0.25 * 0.75 / cells)


def test_mixing_before_upsampling_equals_mixing_after():
    sizes, channels = [(8, 9), (4, 5), (2, 3)], [2, 4, 8]
    keys = jax.random.split(jax.random.key(0), 3)
    branches = tuple(jax.random.normal(k, (2, *s, c)) for k, s, c in zip(keys, sizes, channels, strict=True))
    module = BranchwiseConv("bicubic", Policy())
    variables = initial_values(module, jax.random.key(1), branches)
    together = jnp.concatenate([resize(x, sizes[0], "bicubic") for x in branches], axis=-1)
    plain = nn.Conv(14, (1, 1)).apply({"params": variables["params"]}, together)
    np.testing.assert_allclose(module.apply(variables, branches), plain, atol=1e-5)
