"""Whether the noise has its distribution: estimators of one posterior, its fit, dropout, and maps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spotrust_jax.models.initialization import initial_values
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys, cell_noise
from spotrust_jax.models.resize import resize
from spotrust_jax.models.variants.dropout import dropout
from spotrust_jax.models.variants.variational import BayesianConv, variational_kl

DRAWS, PRIOR, NOISE = 4000, 0.1, 0.3


@pytest.fixture(scope="module")
def layer():
    """A layer of three channels with its variables, and the features of two images."""
    conv = BayesianConv(3, Policy())
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))
    return conv, initial_values(conv, jax.random.key(0), x, method="mean"), x


def _drawn(layer, estimator):
    """Outputs of many passes [draws, batch, height, width, channel]."""
    conv, variables, x = layer

    def one(key):
        images = jax.random.split(jax.random.fold_in(key, 1), 2)
        if estimator == "kernel":
            return conv.apply(variables, x, key, method="draw")
        if estimator == "flipout":
            return conv.apply(variables, x, key, images, method="flipped")
        mean, std = conv.apply(variables, x, method="moments")
        return mean + std * cell_noise(images, mean, 0)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), DRAWS)), np.float64)


@pytest.fixture(scope="module")
def passes(layer):
    return {name: _drawn(layer, name) for name in ("kernel", "local", "flipout")}


@pytest.mark.parametrize("estimator", ["kernel", "local", "flipout"])
def test_estimators_agree_in_mean_and_variance(layer, passes, estimator):
    conv, variables, x = layer
    mean, std = conv.apply(variables, x, method="moments")
    drawn = passes[estimator]
    assert np.abs((drawn.mean(0) - mean) / (std / np.sqrt(DRAWS))).max() < 5
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.07)


def test_images_of_a_batch_share_kernels_but_not_signs(passes):
    """Deviations of two images at one place go together under kernel draws, and do not under the others."""
    together = {}
    for name, drawn in passes.items():
        centred = drawn - drawn.mean(0)
        products = (centred[:, 0] * centred[:, 1]).mean(0)
        together[name] = np.abs(products / (centred[:, 0].std(0) * centred[:, 1].std(0))).max()
    assert together["kernel"] > 0.3
    assert max(together["local"], together["flipout"]) < 5 / np.sqrt(DRAWS)


def test_noise_of_cells_averages_away_and_drawn_kernels_do_not(layer):
    """Where features are alike from cell to cell: after upsampling, and the more so over a region."""
    conv, variables, x = layer
    alike = conv, variables, jnp.broadcast_to(x[:, :1, :1], x.shape)
    spread = {}
    for name in ("kernel", "local", "flipout"):
        upsampled = resize(jnp.asarray(_drawn(alike, name)[:500, 0], jnp.float32), (24, 24), "bicubic")
        inner = upsampled[:, 8:16, 8:16]
        spread[name] = float(inner.std(0).mean()), float(inner.mean((1, 2)).std(0).mean())
    assert spread["local"][0] < 0.9 * spread["kernel"][0]
    assert spread["local"][1] < 0.6 * spread["kernel"][1]
    np.testing.assert_allclose(spread["flipout"], spread["kernel"], rtol=0.15)


def test_posterior_of_a_linear_gaussian_problem_is_the_closed_form():
    """One cell, so that of each kernel only the middle sees anything: the rest has to stay the prior."""
    rng = np.random.default_rng(0)
    conv, x = BayesianConv(2, Policy()), rng.normal(size=(40, 1, 1, 2)).astype(np.float32)
    design = np.append(x[:, 0, 0], np.ones((40, 1)), axis=1).astype(np.float64)
    targets = design @ rng.normal(0, PRIOR, (3, 2)) + NOISE * rng.normal(size=(40, 2))

    def loss(params):
        """Negative evidence lower bound; the expected squared error is that of the output's moments."""
        mean, std = conv.apply({"params": params}, jnp.asarray(x), method="moments")
        error = jnp.square(jnp.asarray(targets, jnp.float32) - mean[:, 0, 0]) + jnp.square(std[:, 0, 0])
        return jnp.sum(error) / (2 * NOISE**2) + variational_kl({"bayesian_0": params}, PRIOR)

    params = initial_values(conv, jax.random.key(0), jnp.asarray(x), method="mean")["params"]
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, 2000))

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda start: jax.lax.scan(step, start, length=2000))((params, optimizer.init(params)))
    precision = design.T @ design / NOISE**2 + np.eye(3) / PRIOR**2
    means = np.linalg.solve(precision, design.T @ targets / NOISE**2)
    # Of all posteriors of independent weights the nearest has the right means, and the conditional variances.
    stds = np.repeat(1 / np.sqrt(np.diag(precision))[:, None], 2, axis=1)
    found = {name: np.asarray(value, np.float64) for name, value in params.items()}
    kernel_std, bias_std = (np.log1p(np.exp(found[name])) for name in ("kernel_rho", "bias_rho"))
    np.testing.assert_allclose(found["kernel_mean"][1, 1], means[:2], atol=2e-3)
    np.testing.assert_allclose(found["bias_mean"], means[2], atol=2e-3)
    np.testing.assert_allclose(kernel_std[1, 1], stds[:2], rtol=0.01)
    np.testing.assert_allclose(bias_std, stds[2], rtol=0.01)
    np.testing.assert_allclose(found["kernel_mean"][0, 0], 0, atol=2e-3)
    np.testing.assert_allclose(kernel_std[0, 0], PRIOR, rtol=0.01)


@pytest.mark.parametrize("mask", ["element", "channel"])
def test_dropout_moments_are_the_analytic_ones_of_a_linear_layer(mask):
    rng, rate = np.random.default_rng(3), 0.4
    x, weights = rng.normal(size=(1, 3, 3, 5)).astype(np.float32), rng.normal(size=(5, 2))

    def one(key):
        keys = jax.random.split(key, 1)
        return dropout(jnp.asarray(x), NoiseKeys(key, keys, keys), 0, rate=rate, mask=mask)

    dropped = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS)), np.float64)
    outputs = dropped[:, 0] @ weights
    std = np.sqrt(x[0].astype(np.float64) ** 2 @ weights**2 * rate / (1 - rate))
    assert np.abs((outputs.mean(0) - x[0] @ weights) / (std / np.sqrt(DRAWS))).max() < 5
    np.testing.assert_allclose(outputs.std(0), std, rtol=0.07)
