"""Small networks with random weights whose maps differ visibly from cell to cell."""

import numpy as np
import pytest

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.inference.segmenter import Segmenter
from tests.trained_like import trained_like


def _segmenter(members: int, **model) -> Segmenter:
    model = ModelConfig(preset="w18_small_v1", width=4, **model)
    variables = trained_like(model, members)
    calibration = PlattScaling(0.8, -1.0)
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
