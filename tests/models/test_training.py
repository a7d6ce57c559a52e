"""Gradients of parts of the network in training: in loops, rematerialised, in bfloat16, and with frozen batch norm."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.hrnet import Backbone, ExchangeModule
from spotrust_jax.models.initialization import initial_values
from spotrust_jax.models.layers import Norm, Policy
from spotrust_jax.models.presets import Architecture

# The smallest network with a loop over bottlenecks, one over blocks and one over modules.
SHAPE = Architecture(stage1_blocks=3, stage1_channels=4, modules=(1, 2, 1), blocks=2, width=4)


def _gradients(module: nn.Module, variables: dict, x) -> Callable:
    """Compiled: a loss of the training network, its batch statistics, and gradients."""

    def loss(params):
        outputs, updated = module.apply({**variables, "params": params}, x, True, mutable="batch_stats")
        return sum(jnp.mean(jnp.square(y.astype(jnp.float32))) for y in outputs), updated["batch_stats"]

    return jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(variables["params"]).compile()


@pytest.fixture(scope="module")
def backbone():
    images = jax.random.normal(jax.random.key(1), (2, 64, 64, 3))
    variables = initial_values(Backbone(SHAPE, Policy()), jax.random.key(0), images[:, :32, :32], False)
    step = _gradients(Backbone(SHAPE, Policy()), variables, images)
    return variables, step, step(variables["params"])


@pytest.fixture(scope="module")
def exchange():
    """An exchange module of two branches, float32: its variables, input, compiled gradients, and their values."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = [jax.random.normal(keys[0], (2, 16, 16, 4)), jax.random.normal(keys[1], (2, 8, 8, 8))]
    variables = initial_values(ExchangeModule(2, Policy()), keys[2], x, False)
    step = _gradients(ExchangeModule(2, Policy()), variables, x)
    return variables, x, step, step(variables["params"])


def _close(actual, expected, tolerance: float) -> None:
    """Leaf by leaf, relative to the largest value of the leaf."""
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max() + 1e-6


def test_gradient_is_the_slope_of_the_loss(backbone):
    """A finite difference along the gradient, which a statistic or a block counted wrongly would change."""
    variables, step, (_, gradients) = backbone
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradients)))
    ahead, behind = (
        step(jax.tree.map(lambda p, g, s=sign: p + s * 2e-5 * g / norm, variables["params"], gradients))[0][0]
        for sign in (1, -1)
    )
    np.testing.assert_allclose((ahead - behind) / 4e-5, norm, rtol=0.02)


def test_every_block_has_statistics_of_its_own(backbone):
    variables, _, ((_, stats), _) = backbone
    before, after = jax.tree.leaves(variables["batch_stats"]), jax.tree.leaves(stats)
    assert jax.tree.structure(stats) == jax.tree.structure(variables["batch_stats"])
    assert all(not np.allclose(one, other) for one, other in zip(before, after, strict=True))
    first, second = (stats["stage3_module0"][f"branch0_block{block}"]["unit1"]["norm"]["mean"] for block in (0, 1))
    assert not np.allclose(first, second)


def test_rematerialisation_changes_memory_not_gradients(exchange):
    variables, x, step, expected = exchange
    lean = _gradients(ExchangeModule(2, Policy(rematerialize=True)), variables, x)
    _close(lean(variables["params"]), expected, 1e-4)
    assert lean.memory_analysis().temp_size_in_bytes < step.memory_analysis().temp_size_in_bytes


def test_bfloat16_keeps_statistics_and_gradients_in_float32(exchange):
    variables, x, _, ((expected, stats), _) = exchange
    (loss, half_stats), gradients = _gradients(ExchangeModule(2, Policy("bfloat16")), variables, x)(variables["params"])
    assert {leaf.dtype for leaf in jax.tree.leaves((half_stats, gradients))} == {jnp.dtype("float32")}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    np.testing.assert_allclose(loss, expected, rtol=0.05)
    _close(half_stats["branch0_block0"]["unit1"], stats["branch0_block0"]["unit1"], 0.02)


def test_frozen_norm_uses_and_keeps_the_running_statistics():
    norm, x = Norm(Policy(frozen_norm=True)), jnp.full((1, 2, 2, 1), 7.0)
    variables = {
        "params": {"scale": jnp.array([2.0]), "bias": jnp.array([1.0])},
        "batch_stats": {"mean": jnp.array([3.0]), "var": jnp.array([4.0 - 1e-5])},
    }
    y, updated = norm.apply(variables, x, True, mutable="batch_stats")
    np.testing.assert_allclose(y, np.full(x.shape, 2 * (7 - 3) / 2 + 1), rtol=1e-6)
    _close(updated["batch_stats"], variables["batch_stats"], 0.0)
