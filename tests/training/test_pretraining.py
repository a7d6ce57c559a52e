"""Pretraining on a few photographs: it learns, goes on where it stopped, and training starts from what it leaves."""

import dataclasses
import json
import os
import signal
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from spotrust_jax.checkpoints import load_model
from spotrust_jax.config import (
    AugmentationConfig,
    FineTuningConfig,
    ModelConfig,
    PretrainConfig,
    TrainConfig,
    UnlabelledConfig,
)
from spotrust_jax.data import photograph_pool
from spotrust_jax.errors import InputError
from spotrust_jax.fields import from_dict
from spotrust_jax.models import segmenter
from spotrust_jax.parallel import Placement
from spotrust_jax.training import distillation, pretraining, state
from spotrust_jax.training.interruption import InterruptedRunError
from spotrust_jax.training.loop import TrainingDivergedError
from spotrust_jax.training.pretraining import pretrain
from tests.models.test_teacher import random_teacher
from tests.training.small_network import BranchesOnly

MODEL = ModelConfig("deterministic", "w18_small_v1", width=8)


@pytest.fixture(scope="module", autouse=True)
def small_backbone():
    """One convolution for each branch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "Backbone", BranchesOnly)
        patch.setattr(distillation, "Backbone", BranchesOnly)
        yield


@pytest.fixture(scope="module")
def teacher():
    return random_teacher()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Twelve steps on blotches of random colours, an evaluation after every fifth and the last."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(12):
        blotches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        blotches.resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return PretrainConfig(
        model=MODEL,
        data=UnlabelledConfig(str(folder), held_out=0.25),
        augmentation=AugmentationConfig((32, 32), scale=(0.3, 1.0)),
        batch_size=4,
        steps=12,
        learning_rate=0.02,
        warmup_steps=2,
        evaluation_steps=5,
    )


@pytest.fixture(scope="module")
def finished(config, teacher, tmp_path_factory):
    """The run directory of the whole run, and what it ended with."""
    run_directory = tmp_path_factory.mktemp("run")
    return run_directory, _pretrain(config, run_directory, teacher)


def _pretrain(config, run_directory, teacher, devices=1):
    return pretrain(config, run_directory, jax.devices()[:devices], teacher)


def _log(run_directory):
    rows = [json.loads(line) for line in (run_directory / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in row.items() if name not in ("seconds", "images_per_second")} for row in rows]


def test_the_loss_falls_on_photographs_that_are_held_out(finished):
    rows = _log(finished[0])
    assert [row["step"] for row in rows] == [5, 10, 12] and [row["epoch"] for row in rows] == [1, 2, 3]
    strides = [f"held_out_loss_stride{stride}" for stride in (4, 8, 16, 32)]
    for row in rows:
        assert row["held_out_loss"] == pytest.approx(np.mean([row[name] for name in strides]), abs=2e-6)
    assert rows[-1]["held_out_loss"] < rows[0]["held_out_loss"] - 0.005
    assert rows[-1]["loss"] < rows[0]["loss"]
    best = min(row["held_out_loss"] for row in rows)
    assert finished[1].steps == 12 and finished[1].best_loss == pytest.approx(best, abs=1e-6)


def test_an_interrupted_run_ends_as_the_whole_one(config, teacher, finished, tmp_path, monkeypatch):
    made, make = [], pretraining.pretrain_step

    def with_signal(*arguments):
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(pretraining, "pretrain_step", with_signal)
    over = pretraining.over_members

    def counting(function, grid, **options):
        compiled, calls = over(function, grid, **options), iter(range(1, 100))
        if function is not made[-1]:
            return compiled

        def call(*arguments):
            if next(calls) == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return compiled(*arguments)

        return call

    monkeypatch.setattr(pretraining, "over_members", counting)
    with pytest.raises(InterruptedRunError, match=r"after step 7: .*goes on") as caught:
        _pretrain(config, tmp_path, teacher)
    assert caught.value.exit_code == 75
    monkeypatch.undo()
    assert _pretrain(config, tmp_path, teacher) == finished[1]
    assert _log(tmp_path) == _log(finished[0])
    models = [jax.tree.leaves(load_model(folder / "best")[0]) for folder in (tmp_path, finished[0])]
    assert all(np.array_equal(*pair) for pair in zip(*models, strict=True))
    # A run that is over is not begun again.
    assert _pretrain(config, tmp_path, teacher) == finished[1]


def test_the_best_model_is_there_before_the_state_that_knows_its_loss(config, tmp_path):
    """Whenever a run is killed: what would find it again does not come before it."""
    disk = Mock()
    disk.attach_mock(Mock(spec=pretraining.LatestState), "latest")
    run = pretraining._Run(tmp_path, None, None, None, (9, 3), None, latest=disk.latest, best=disk.best)
    pretraining._save(run, pretraining.Pretrained(5, 0.1), distillation.state_shapes(config))
    assert [call[0] for call in disk.mock_calls] == ["best.wait_until_finished", "latest.save"]


def test_training_starts_from_the_backbone_alone(config, finished):
    variables, checkpoint = load_model(finished[0] / "best")
    assert checkpoint.untrained == ("aleatoric", "head") and checkpoint.members == 1
    images, _ = pretraining.read_photographs(config.data, config.seed)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    np.testing.assert_allclose(checkpoint.mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(checkpoint.std, pixels.std(0), rtol=1e-6)
    start = FineTuningConfig(str(finished[0] / "best"))
    training = TrainConfig(model=dataclasses.replace(MODEL, variant="variational"), fine_tuning=start, members=2)
    begun = state.initial_state(training).variables
    random = state.initial_state(dataclasses.replace(training, fine_tuning=FineTuningConfig())).variables
    for collection in ("params", "batch_stats"):
        for member in range(2):
            found = jax.tree.leaves(jax.tree.map(lambda leaf, m=member: leaf[m], begun[collection]["backbone"]))
            expected = jax.tree.leaves(jax.tree.map(lambda leaf: leaf[0], variables[collection]["backbone"]))
            assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
        heads = [jax.tree.leaves(v[collection]["head"]) for v in (begun, random)]
        assert all(np.array_equal(*pair) for pair in zip(*heads, strict=True))
    with pytest.raises(InputError, match="without a head"):
        state.initial_state(dataclasses.replace(training, fine_tuning=dataclasses.replace(start, head=True)))


def test_two_devices_compute_what_one_does(config, teacher, tmp_path):
    short = dataclasses.replace(config, steps=3, evaluation_steps=3)
    rows = []
    for devices in (1, 2):
        _pretrain(short, tmp_path / str(devices), teacher, devices)
        rows += _log(tmp_path / str(devices))
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)
    with pytest.raises(InputError, match="batch_size is 4, which 3 devices cannot split evenly: give 6"):
        _pretrain(short, tmp_path / "3", teacher, 3)


def test_photographs_held_out_are_never_trained_on(config, teacher, monkeypatch):
    seen = []

    def crops(keys, pool, numbers, augmentation):
        jax.debug.callback(lambda numbers: seen.append(np.asarray(numbers)), numbers)
        return photograph_pool.random_crops(keys, pool, numbers, augmentation)

    monkeypatch.setattr(distillation, "random_crops", crops)
    placement = Placement(1, 1)
    data = dataclasses.replace(config.data, mean=(0.5,) * 3, std=(0.2,) * 3)
    known = dataclasses.replace(config, data=data)
    pool = photograph_pool.make_pool([np.zeros((40, 40, 3), np.uint8)] * 12)
    inputs = distillation.Inputs(teacher, pool, np.arange(4, dtype=np.int32))
    step = jax.jit(distillation.pretrain_step(known, placement, 9))
    now = distillation.initial_state(known)
    for _ in range(8):
        now, _ = step(now, inputs)
    jax.effects_barrier()
    trained = np.unique(seen)
    assert trained.min() >= 0 and trained.max() <= 8 and len(trained) > 5
    seen.clear()
    evaluate = jax.jit(distillation.evaluation_step(known, placement, 9, 3))
    evaluate(now, (inputs, np.int32(0)))
    jax.effects_barrier()
    assert np.unique(seen).tolist() == [9, 10, 11]


def test_the_loss_is_the_mean_cosine_distance_to_standardised_features(config, teacher):
    rng = np.random.default_rng(0)
    branch, features = (rng.normal(3, 2, (2, 4, 4, channels)).astype(np.float32) for channels in (8, 24))
    projection = {"kernel": rng.normal(size=(8, 24)).astype(np.float32), "bias": rng.normal(size=24).astype(np.float32)}
    standard = (features - features.mean((0, 1, 2))) / features.std((0, 1, 2))
    projected = branch @ projection["kernel"] + projection["bias"]
    cosines = (projected * standard).sum(-1) / np.linalg.norm(projected, axis=-1) / np.linalg.norm(standard, axis=-1)
    found = distillation._losses(
        (jnp.asarray(branch),),
        [distillation.standardised(jnp.asarray(features), Placement(1, 1))],
        {"stride0": projection},
    )
    np.testing.assert_allclose(found, [1 - cosines.mean()], rtol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_run(config, teacher, tmp_path):
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), teacher)
    with pytest.raises(TrainingDivergedError, match="not finite before step 5"):
        _pretrain(config, tmp_path, broken)


def test_a_working_directory_belongs_to_one_configuration(config, teacher, finished):
    with pytest.raises(InputError, match=r"another configuration .seed 0 there, 1 here"):
        _pretrain(dataclasses.replace(config, seed=1), finished[0], teacher)


def test_settings_that_cannot_be_are_refused(config, teacher, tmp_path):
    for values, message in (
        ({"steps": 0}, "steps is 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
    ):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(config, **values)
    for values, message in (
        ({"warmup_steps": 12}, "warmup_steps is 12 of 12 steps"),
        ({"augmentation": AugmentationConfig((40, 40))}, r"crop_size is \(40, 40\): give multiples of 32"),
    ):
        with pytest.raises(InputError, match=message):
            _pretrain(dataclasses.replace(config, **values), tmp_path, teacher)


def test_the_config_file_is_what_the_program_reads():
    from configs import pretrain as file

    config = file.get_config("w32")
    config.data.path = "a,b"
    read = from_dict(PretrainConfig, config.to_dict())
    assert read.model.preset == "w32" and read.data.path == "a,b"
