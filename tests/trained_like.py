"""Weights as after some training, drawn by numpy: jax's initialisation takes long to compile."""

import jax
import numpy as np

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.segmenter import Variables, variable_shapes


def trained_like(model: ModelConfig, members: int = 1, seed: int = 1) -> Variables:
    """Leaves [members, ...] whose maps differ visibly from cell to cell; logits are of a few units."""
    random = np.random.default_rng(seed)
    draw = lambda path, leaf: _drawn(random, path[-1].key, members, leaf)  # noqa: E731
    variables = jax.tree_util.tree_map_with_path(draw, variable_shapes(model))
    variables["params"]["head"]["logit"]["kernel"] *= np.float32(0.005)
    return variables


def _drawn(random: np.random.Generator, name: str, members: int, like: jax.ShapeDtypeStruct) -> np.ndarray:
    shape = (members, *like.shape)
    if name in ("scale", "var"):
        return random.uniform(0.8, 1.2, shape).astype(np.float32)
    fan_out = like.shape[0] * like.shape[1] * like.shape[3] if len(like.shape) == 4 else 200
    offset = -3.0 if name.endswith("rho") else 0.0
    return (offset + (2 / fan_out) ** 0.5 * random.normal(size=shape)).astype(np.float32)
