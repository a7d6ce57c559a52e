"""Small networks with random weights whose maps differ visibly from cell to cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.affine_calibration import AffineCalibration
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.segmenter import ModelConfig, variable_shapes


def _random(random: np.random.Generator, name: str, members: int, like: jax.ShapeDtypeStruct) -> jax.Array:
    """Values as after some training, drawn by numpy: jax's initialisation takes long to compile."""
    shape = (members, *like.shape)
    if name in ("scale", "var"):
        return jnp.asarray(random.uniform(0.8, 1.2, shape), jnp.float32)
    fan_out = like.shape[0] * like.shape[1] * like.shape[3] if len(like.shape) == 4 else 200
    offset = -3.0 if name.endswith("rho") else 0.0
    return jnp.asarray(offset + (2 / fan_out) ** 0.5 * random.normal(size=shape), jnp.float32)


def _segmenter(members: int, **model) -> Segmenter:
    model = ModelConfig(preset="w18_small_v1", width=4, **model)
    random = np.random.default_rng(1)
    draw = lambda path, leaf: _random(random, path[-1].key, members, leaf)  # noqa: E731
    variables = jax.tree_util.tree_map_with_path(draw, variable_shapes(model))
    variables["params"]["head"]["logit"]["kernel"] *= 0.005  # logits of a few units
    calibration = AffineCalibration(0.8, -1.0)
    config = CheckpointConfig(
        model, members, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2), 64, calibration=calibration, threshold=0.4
    )
    return Segmenter(variables, config)


@pytest.fixture(scope="session")
def ensemble() -> Segmenter:
    """Two variational networks."""
    return _segmenter(2, variant="variational")


@pytest.fixture(scope="session")
def single() -> Segmenter:
    """One network with dropout of channels."""
    return _segmenter(1, variant="dropout", dropout_mask="channel")


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
