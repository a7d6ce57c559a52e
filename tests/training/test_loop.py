"""Whole runs on the embedded scenes: resume, divergence, and a working directory that is somebody else's."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import spotrust_jax
from spotrust_jax.config import AugmentationConfig, DataConfig, TrainConfig
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.errors import InputError
from spotrust_jax.models.segmenter import ModelConfig
from spotrust_jax.training.loop import TrainingDivergedError, _claim, train
from spotrust_jax.training.run_state import RunStates
from tests.random_photographs import Photographs

CONFIG = TrainConfig(
    model=ModelConfig("variational", "w18_small_v1", width=4),
    data=DataConfig(source="scenes", image_size=(64, 64), scenes=(8, 5)),
    augmentation=AugmentationConfig(crop_size=(64, 64)),
    batch_size=4,
    epochs=2,
    validation_samples=2,
)


def _train(config, workdir):
    return train(config, workdir, jax.devices()[:1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs without a break."""
    workdir = tmp_path_factory.mktemp("run")
    return workdir, _train(CONFIG, workdir)


def _latest(workdir):
    """Arrays of the newest state, read back by the loop's own resume, which has no epoch left to run."""
    states = RunStates(workdir)
    epoch, state = states.restore(CONFIG)
    states.close()
    return epoch, state


def test_resumed_run_equals_uninterrupted_run(finished, tmp_path):
    _train(dataclasses.replace(CONFIG, epochs=1), tmp_path)
    progress = _train(CONFIG, tmp_path)
    assert progress == finished[1] and progress.epochs == 2 and progress.steps == 4
    (_, whole), (_, resumed) = _latest(finished[0]), _latest(tmp_path)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(one, other)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    expected = [json.loads(line) for line in (finished[0] / "metrics.jsonl").read_text().splitlines()]
    for row in (*lines, *expected):
        del row["seconds"]
    assert lines == expected


def test_best_model_predicts_and_journal_is_there(finished):
    workdir, progress = finished
    segmenter = spotrust_jax.load(workdir / "best")
    assert segmenter.config.model == CONFIG.model and segmenter.config.inference_size == 64
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    best = max(row["validation_f1_corrosion"] for row in rows)
    np.testing.assert_allclose(progress.best_f1, [best], atol=1e-6)
    assert any((workdir / "events").iterdir())


def test_channel_statistics_are_those_of_the_training_scenes(finished):
    pixels = np.stack([scene.image for scene in SceneDataset(DEMO_SCENES, "train", 8)]).reshape(-1, 3) / 255
    config = spotrust_jax.load(finished[0] / "best").config
    np.testing.assert_allclose(config.mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(config.deviation, pixels.std(0), rtol=1e-9)


def test_channel_statistics_survive_a_resume_but_not_an_override(tmp_path):
    first = _claim(tmp_path, CONFIG, Photographs("ab"))
    assert _claim(tmp_path, CONFIG, Photographs("cd")) == first
    assert _claim(tmp_path, first, Photographs("cd")) == first
    given = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, mean=(0.5, 0.5, 0.5)))
    with pytest.raises(InputError, match=r"data\.mean differ"):
        _claim(tmp_path, given, Photographs("ab"))


def test_another_configuration_is_refused(finished):
    other = dataclasses.replace(CONFIG, batch_size=2)
    with pytest.raises(InputError, match="batch_size"):
        _train(other, finished[0])


def test_nan_stops_with_the_step_and_keeps_the_last_good_checkpoint(finished, tmp_path, monkeypatch):
    workdir = shutil.copytree(finished[0], tmp_path / "run")

    def poisoned(states, config):
        epoch, state = restore(states, config)
        return epoch, state._replace(variables=jax.tree.map(lambda leaf: leaf * np.nan, state.variables))

    restore = RunStates.restore
    monkeypatch.setattr(RunStates, "restore", poisoned)
    with pytest.raises(TrainingDivergedError, match="member 0 was not finite at step 5"):
        _train(dataclasses.replace(CONFIG, epochs=3), workdir)
    monkeypatch.undo()
    epoch, state = _latest(workdir)
    assert epoch == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.variables))
