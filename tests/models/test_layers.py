"""Convolution and batch norm against jax's own automatic differentiation, Flax, and direct sums."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.initialization import initial_values
from spotrust_jax.models.layers import Norm, Policy, convolve

CASES = [(8, 8, 1, 3), (8, 9, 2, 3), (7, 5, 2, 3), (1, 1, 2, 3), (2, 1, 1, 3), (6, 7, 1, 1)]


def _reference(x, kernel, stride):
    padding = [(kernel.shape[0] // 2,) * 2] * 2
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=numbers)


@pytest.mark.parametrize(("height", "width", "stride", "side"), CASES)
def test_values_and_gradients_equal_automatic_ones(height, width, stride, side):
    x_key, kernel_key, y_key = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(x_key, (2, height, width, 3))
    kernel = jax.random.normal(kernel_key, (side, side, 3, 4))
    expected, expected_gradients = jax.vjp(lambda x, k: _reference(x, k, stride), x, kernel)
    actual, gradients = jax.vjp(lambda x, k: convolve(x, k, stride), x, kernel)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    cotangent = jax.random.normal(y_key, expected.shape)
    for one, other in zip(gradients(cotangent), expected_gradients(cotangent), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_stride_two_starts_one_before_the_image():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    # The kernel's centre lies on rows and columns 0 and 2, as with PyTorch's padding of one on every side.
    np.testing.assert_allclose(convolve(x, kernel, 2)[0, :, :, 0], [[0, 2], [8, 10]])


@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm_equals_flax(relu):
    x_key, scale_key, bias_key, y_key = jax.random.split(jax.random.key(0), 4)
    x = 2.0 + 3.0 * jax.random.normal(x_key, (2, 5, 6, 3))
    params = {"scale": jax.random.normal(scale_key, (3,)), "bias": jax.random.normal(bias_key, (3,))}
    stats = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([2.0, 3.0, 4.0])}

    def ours(params, x):
        variables = {"params": params, "batch_stats": stats}
        return Norm(Policy(), relu).apply(variables, x, True, mutable="batch_stats")

    def flax(params, x):
        norm = nn.BatchNorm(use_running_average=False, momentum=0.9)
        y, updated = norm.apply({"params": params, "batch_stats": stats}, x, mutable="batch_stats")
        return nn.relu(y) if relu else y, updated

    (y, gradients, updated), (expected, expected_gradients, expected_updated) = (
        jax.vjp(norm, params, x, has_aux=True) for norm in (ours, flax)
    )
    cotangent = jax.random.normal(y_key, y.shape)
    pairs = ((y, expected), (updated, expected_updated), (gradients(cotangent), expected_gradients(cotangent)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *zip(*pairs, strict=True))


def test_variance_survives_a_large_mean():
    x = 1e4 + jax.random.normal(jax.random.key(0), (2, 32, 32, 1))
    variables = initial_values(Norm(Policy()), jax.random.key(0), x, False)
    _, updated = Norm(Policy()).apply(variables, x, True, mutable="batch_stats")
    expected = 0.9 + 0.1 * np.var(np.asarray(x, np.float64))
    np.testing.assert_allclose(updated["batch_stats"]["var"], [expected], rtol=1e-4)
