"""What is said before a network is compiled."""

import logging
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import AugmentationConfig, ModelConfig, TrainConfig
from spotrust_jax.inference import segmenter as segmenters
from spotrust_jax.models import compile_notice
from spotrust_jax.models.presets import PRESETS
from spotrust_jax.models.segmenter import variable_shapes
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training import compiled
from spotrust_jax.training.input_pipeline import ScaledData

MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)


class BeginsToCompileError(BaseException):
    """Raised where XLA would begin; no `Exception`, which would be looked into for weights that do not fit."""


def begins(*arguments, **options):
    raise BeginsToCompileError


def test_prediction_says_so_first(monkeypatch, caplog):
    monkeypatch.setattr(segmenters, "compiled_maps", lambda *arguments: begins)
    segmenters.compiled_sizes.cache_clear()
    config = CheckpointConfig(MODEL, 1, (0.5,) * 3, (0.2,) * 3, 96)
    segmenter = segmenters.Segmenter({}, config)
    monkeypatch.setitem(segmenter.__dict__, "folded", None)
    with caplog.at_level(logging.INFO, "spotrust_jax"), pytest.raises(BeginsToCompileError):
        segmenter.predict_part(np.zeros((64, 96, 3), np.uint8), jax.random.key(0), 0, 1)
    assert [record.message for record in caplog.records] == ["Compiling for 96 x 64, about 5 seconds the first time"]


def test_training_says_so_first(monkeypatch, caplog):
    monkeypatch.setattr(compiled, "train_step", begins)
    config = TrainConfig(model=MODEL, augmentation=AugmentationConfig(crop_size=(64, 96)))
    grid = DeviceGrid(1, tuple(jax.devices()[:1]))
    with caplog.at_level(logging.INFO, "spotrust_jax"), pytest.raises(BeginsToCompileError):
        compiled.compile_functions(config, grid, [ScaledData("training", "validation")])
    assert [record.message for record in caplog.records] == [
        "Compiling to train for 96 x 64, about 30 seconds the first time"
    ]


def test_programs_silence_what_xla_says_of_slow_compilations():
    """The alarm is XLA's own, in C++, and heeds what the environment says before jaxlib is loaded."""
    names = "os.environ.get('TF_CPP_MIN_LOG_LEVEL'), 'jaxlib' in sys.modules"
    command = f"import os, sys; from launch import program; program._prepare_logs(); print({names})"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    shown = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "3 False\n"


@pytest.mark.parametrize("preset", PRESETS)
def test_blocks_are_those_of_the_network(preset):
    shapes = variable_shapes(ModelConfig("deterministic", preset, width=4))["params"]["backbone"]
    paths = ["/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    blocks = {found.group() for path in paths if (found := re.match(r".*block\d+", path))}
    assert PRESETS[preset].residual_blocks == len(blocks)


def test_seconds_are_as_measured():
    """docs/measurements/training_speed.md has 50 seconds for w48 on two cores; a third more or less is near enough."""
    assert compile_notice.expected_seconds(ModelConfig("deterministic", "w48"), "train") == pytest.approx(50, rel=0.35)
