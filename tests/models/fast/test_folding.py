"""The network of inference against the one that was trained, and its head against upsampling everything first."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.fast import row_blocks
from spotrust_jax.models.fast.folding import fold_norms
from spotrust_jax.models.head import SegmentationHead
from spotrust_jax.models.initialization import declarations
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.resize import resize


def _random(tree, seed):
    """Values that a trained network might have: of the size that the shape says, variances positive."""
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        values = rng.normal(0, 1 / np.sqrt(max(np.prod(shape.shape[:-1]), 1)), shape.shape).astype(np.float32)
        return np.abs(values) + 0.5 if path[-1].key in ("var", "scale") else values

    return jax.tree_util.tree_map_with_path(leaf, tree)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [1, 3])
def test_head_by_rows_equals_upsampling_everything_first(interpolation, side):
    channels, head = [3, 4, 5, 6], SegmentationHead(side, interpolation, Policy())
    sizes = [(16 // 2**b, 24 // 2**b) for b in range(4)]
    keys = jax.random.split(jax.random.key(0), 4)
    branches = tuple(jax.random.normal(k, (2, *s, c)) for k, s, c in zip(keys, sizes, channels, strict=True))
    shapes = nn.unbox(declarations(head, branches, (64, 96), False))
    variables = _random(shapes, 1)
    folded = SegmentationHead(side, interpolation, Policy(folded=True))
    assert row_blocks.fits(branches)
    found = jax.jit(lambda v: folded.apply(v, branches, (64, 96), False))(fold_norms(variables))

    params, statistics = variables["params"], variables["batch_stats"]["norm"]
    together = jnp.concatenate([resize(x, sizes[0], interpolation) for x in branches], axis=-1)
    x = nn.Conv(18, (1, 1)).apply({"params": params["mix"]}, together)
    norm = nn.BatchNorm(use_running_average=True, epsilon=1e-5)
    x = nn.relu(norm.apply({"params": params["norm"], "batch_stats": statistics}, x))
    x = nn.Conv(1, (side, side), padding=side // 2).apply({"params": params["logit"]}, x)
    np.testing.assert_allclose(found, resize(x, (64, 96), interpolation)[..., 0], atol=1e-5)
    assert np.std(found) > 0.1


def test_sizes_that_rows_do_not_fit():
    branches = [tuple(jnp.zeros((1, h // 2**b, 16 // 2**b, 1)) for b in range(4)) for h in (16, 20, 24)]
    assert [row_blocks.fits(several) for several in branches] == [True, False, True]
