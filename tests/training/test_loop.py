"""Whole runs on the embedded scenes: going on from anywhere, what is kept, and what ends a run in one line."""

import dataclasses
import errno
import json
import os
import resource
import shutil
import signal

import jax
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

import spotrust_jax
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import read_config, write_config
from spotrust_jax.config import AugmentationConfig, DataConfig, ModelConfig, RunConfig, ScheduleConfig, TrainConfig
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training import loop
from spotrust_jax.training.checkpointing import LatestState, RunCheckpoints, RunPosition, disk_errors
from spotrust_jax.training.input_pipeline import TrainingPipeline
from spotrust_jax.training.interruption import InterruptedRunError
from spotrust_jax.training.loop import TrainingDivergedError, train
from spotrust_jax.training.summary import compare, read_summary
from tests.training.runs import latest

pytestmark = pytest.mark.usefixtures("small_step")

# Two epochs of four steps, the state saved after the third and the sixth step as well.
CONFIG = TrainConfig(
    model=ModelConfig("variational", "w18_small_v1", width=4),
    data=DataConfig(source="scenes", image_size=64, scenes=(8, 5)),
    augmentation=AugmentationConfig(crop_size=(64, 64)),
    run=RunConfig(checkpoint_steps=3, keep_epochs=2, panel_epochs=2),
    batch_size=2,
    epochs=2,
    validation_samples=2,
)


# Two epochs' worth of steps is enough where nothing is measured.
_FEW = dataclasses.replace(CONFIG.data, scenes=(4, 2))


def _train(config, run_directory):
    return train(config, run_directory, jax.devices()[:1])


@pytest.fixture(scope="module")
def finished(small_step, tmp_path_factory):
    """A run of two epochs without a break."""
    run_directory = tmp_path_factory.mktemp("run")
    return run_directory, _train(CONFIG, run_directory)


def _log(run_directory):
    """Its lines without what time has to do with."""
    rows = [json.loads(line) for line in (run_directory / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def _assert_same_run(run_directory, expected):
    for (position, state), (expected_position, expected_state) in [
        (latest(CONFIG, run_directory), latest(CONFIG, expected))
    ]:
        assert position == expected_position == RunPosition(2, 8, position.best_epoch)
        for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(expected_state), strict=True):
            np.testing.assert_array_equal(one, other)
    best, expected_best = (spotrust_jax.load(folder / "best").variables for folder in (run_directory, expected))
    for one, other in zip(jax.tree.leaves(best), jax.tree.leaves(expected_best), strict=True):
        np.testing.assert_array_equal(one, other)
    assert _log(run_directory) == _log(expected)


@pytest.mark.parametrize(("every", "validated"), [(0, [3]), (2, [2, 3])])
def test_epochs_are_validated_as_often_as_asked_and_the_last_always(tmp_path, every, validated):
    schedule = ScheduleConfig("cosine")
    config = dataclasses.replace(CONFIG, schedule=schedule, epochs=3, validation_epochs=every, data=_FEW)
    progress = _train(config, tmp_path)
    rows = _log(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["epoch"] for row in rows if "validation_average_precision" in row] == validated
    best = max(row.get("validation_average_precision", 0) for row in rows)
    assert progress.best_score == pytest.approx((best,), abs=1e-6)


def test_longer_run_goes_on_where_a_shorter_one_ended(finished, tmp_path):
    _train(dataclasses.replace(CONFIG, epochs=1), tmp_path)
    assert _train(CONFIG, tmp_path) == finished[1]
    _assert_same_run(tmp_path, finished[0])


def test_run_goes_on_with_the_same_losses_on_another_number_of_devices(finished, tmp_path):
    _train(dataclasses.replace(CONFIG, epochs=1), tmp_path)
    train(CONFIG, tmp_path, jax.devices()[:2])
    for row, expected in zip(_log(tmp_path), _log(finished[0]), strict=True):
        np.testing.assert_allclose(row["loss"], expected["loss"], rtol=1e-4)
        np.testing.assert_allclose(row["validation_loss"], expected["validation_loss"], rtol=1e-4)
    with pytest.raises(InputError, match=r"batch_size is 2, which 4 devices cannot split evenly: give 4, or"):
        train(CONFIG, tmp_path, jax.devices()[:4])


@pytest.mark.parametrize("moment", ["step", "validation"])
def test_sigterm_saves_at_once_and_the_run_goes_on_bit_for_bit(finished, tmp_path, monkeypatch, moment):
    steps = iter(range(1, 100))
    following, validation = TrainingPipeline.__next__, loop.validation_pipeline

    def batch(feed):
        if moment == "step" and next(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return following(feed)

    def batches(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return validation(*arguments)

    monkeypatch.setattr(TrainingPipeline, "__next__", batch)
    if moment == "validation":
        monkeypatch.setattr(loop, "validation_pipeline", batches)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match=rf"after step {5 if moment == 'step' else 4}: .*goes on") as caught:
        _train(CONFIG, tmp_path)
    assert caught.value.exit_code == 75 and signal.getsignal(signal.SIGTERM) is handler
    # The fifth step belongs to the second epoch; the fourth ends the first, which is not validated yet.
    expected = RunPosition(1, 5, 1) if moment == "step" else RunPosition(0, 4)
    assert latest(CONFIG, tmp_path)[0] == expected
    monkeypatch.undo()
    # What a killed process leaves: half a line, and one of an epoch whose state was never saved.
    with (tmp_path / "metrics.jsonl").open("a") as lines:
        lines.write('{"epoch": 2, "step": 8, "member": 0}\n{"epoch": 2, "st')
    assert _train(CONFIG, tmp_path) == finished[1]
    _assert_same_run(tmp_path, finished[0])


def test_state_is_saved_as_often_as_asked_and_at_the_end(finished, tmp_path, monkeypatch):
    saved, save = [], RunCheckpoints.save
    monkeypatch.setattr(
        RunCheckpoints, "save", lambda self, at, state: (saved.append(at.epochs), save(self, at, state))
    )
    run = RunConfig(checkpoint_steps=0, save_epochs=0, keep_epochs=2, panel_epochs=2)
    _train(dataclasses.replace(CONFIG, run=run), tmp_path)
    assert saved == [2]
    _assert_same_run(tmp_path, finished[0])


def test_finished_run_is_left_as_it_is(finished, monkeypatch):
    run_directory, progress = finished
    before = (run_directory / "summary.json").read_text()
    monkeypatch.setattr(loop, "compile_functions", None)
    assert _train(CONFIG, run_directory) == progress
    assert (run_directory / "summary.json").read_text() == before


def test_finished_run_that_is_started_again_keeps_calibration_and_threshold(finished, tmp_path, monkeypatch):
    run_directory = shutil.copytree(finished[0], tmp_path / "run")
    calibrated = dataclasses.replace(
        read_config(run_directory / "best"),
        calibration=PlattScaling(1.5, -0.3),
        threshold=0.31,
        threshold_rule="best F1, on 5 photographs",
    )
    write_config(run_directory / "best", calibrated)
    monkeypatch.setattr(loop, "compile_functions", None)
    assert _train(CONFIG, run_directory) == finished[1]
    assert read_config(run_directory / "best") == calibrated
    monkeypatch.undo()
    # Other weights are not calibrated.
    monkeypatch.setattr(loop, "_as_score", lambda scores, metric: np.full(1, 2.0))
    _train(dataclasses.replace(CONFIG, epochs=3), run_directory)
    assert read_config(run_directory / "best") == dataclasses.replace(
        calibrated, calibration=PlattScaling(), threshold=0.5, threshold_rule="one half"
    )


class KilledError(Exception):
    """Stands for a kill: nothing after it happens."""


@pytest.mark.parametrize("moment", ["while it is kept", "after it is kept"])
def test_run_killed_at_a_model_that_it_keeps_goes_on(finished, tmp_path, monkeypatch, moment):
    def killed(*arguments, **options):
        raise KilledError

    with monkeypatch.context() as patch:
        if moment == "while it is kept":
            # The configuration is there, the weights are not.
            patch.setattr("spotrust_jax.checkpoints.model_manager", killed)
        else:
            patch.setattr(RunCheckpoints, "save", lambda self, at, state: killed() if at.epochs == 2 else None)
        with pytest.raises(KilledError):
            _train(CONFIG, tmp_path)
    kept = tmp_path / "epoch_0002"
    assert kept.exists() == (moment == "after it is kept")
    assert _train(CONFIG, tmp_path) == finished[1]
    _assert_same_run(tmp_path, finished[0])
    models = [spotrust_jax.load(folder / "epoch_0002").variables for folder in (tmp_path, finished[0])]
    for one, other in zip(*map(jax.tree.leaves, models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob(".epoch*"))


def test_sigterm_in_a_validation_whose_step_is_saved_exits_75(tmp_path, monkeypatch):
    validation = loop.validation_pipeline

    def batches(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return validation(*arguments)

    monkeypatch.setattr(loop, "validation_pipeline", batches)
    # The last step of an epoch is saved before its validation.
    config = dataclasses.replace(CONFIG, run=dataclasses.replace(CONFIG.run, checkpoint_steps=4))
    for _ in range(2):  # also where the state was read from there
        with pytest.raises(InterruptedRunError, match=r"after step 4: .*goes on") as caught:
            _train(config, tmp_path)
        assert caught.value.exit_code == 75
    assert latest(config, tmp_path)[0] == RunPosition(0, 4)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "free some space there; the same command"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), "check its permissions; the same command"),
        (ValueError("x/0: No space left on device [os_error_code='28']"), "free some space there; the same command"),
        (ValueError("leaves differ"), r"could not be written \(leaves differ\): the same command"),
    ],
)
def test_what_failed_is_reported_as_what_it_is(tmp_path, error, words):
    states = LatestState(tmp_path, DeviceGrid(1, tuple(jax.devices()[:1])))
    with pytest.raises(RunError, match=words), disk_errors(tmp_path, states):
        raise error
    with pytest.raises(InputError, match=r"^a model already$"), disk_errors(tmp_path, states):
        raise InputError("a model already")
    states.close()


def test_best_and_kept_models_predict(finished):
    run_directory, progress = finished
    segmenter = spotrust_jax.load(run_directory / "best")
    assert segmenter.config.model == CONFIG.model and segmenter.config.inference_size == 64
    best = max(row["validation_average_precision"] for row in _log(run_directory))
    np.testing.assert_allclose(progress.best_score, [best], atol=1e-6)
    kept, state = spotrust_jax.load(run_directory / "epoch_0002"), latest(CONFIG, run_directory)[1]
    for one, other in zip(jax.tree.leaves(kept.variables), jax.tree.leaves(state.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def _events(run_directory):
    """All events, by the file format: length, its checksum, an event, its checksum."""
    for file in sorted((run_directory / "events").iterdir()):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_tensorboard_has_scalars_and_pictures(finished):
    values = {(value.tag, event.step): value for event in _events(finished[0]) for value in event.summary.value}
    row = _log(finished[0])[-1]
    np.testing.assert_allclose(values["validation_f1_corrosion", 8].simple_value, row["validation_f1_corrosion"], 1e-6)
    pictures = [key for key in values if key[0].startswith("validation/photograph")]
    assert sorted(pictures) == [(f"validation/photograph{number}", 8) for number in range(4)]
    assert values[pictures[0]].image.width > 4 * 64


def test_summary_and_comparison(finished, tmp_path):
    summary = read_summary(finished[0])
    assert summary["epochs"] == 2 and summary["steps"] == 8
    (best,), (score,) = summary["best"], finished[1].best_score
    np.testing.assert_allclose(best["validation_average_precision"], score, atol=1e-6)
    (row,) = [row for row in _log(finished[0]) if row["epoch"] == best["epoch"]]
    assert {name: row[name] for name in best} == best
    assert summary["jax"] == jax.__version__ and summary["peak_gib"]["host"] > 0.1
    parameters = spotrust_jax.load(finished[0] / "best").variables["params"]
    assert summary["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(parameters))
    other = shutil.copytree(finished[0], tmp_path / "other")
    summary["config"]["optimizer"]["learning_rate"] = 0.5
    (other / "summary.json").write_text(json.dumps(summary))
    table = compare([finished[0], other])
    assert "| optimizer.learning_rate | 0.003 | 0.5 |" in table and "batch_size" not in table
    (other / "summary.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        compare([finished[0], other])
    with pytest.raises(InputError, match="is not a run directory"):
        compare([tmp_path])


def test_channel_statistics_are_those_of_the_training_scenes(finished):
    pixels = np.stack([scene.image for scene in SceneDataset(DEMO_SCENES, "train", 8)]).reshape(-1, 3) / 255
    config = spotrust_jax.load(finished[0] / "best").config
    np.testing.assert_allclose(config.mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(config.std, pixels.std(0), rtol=1e-9)


def test_nan_stops_with_the_step_and_keeps_the_last_good_checkpoint(finished, tmp_path, monkeypatch):
    run_directory = shutil.copytree(finished[0], tmp_path / "run")

    def poisoned(states):
        position, state = restore(states)
        return position, state._replace(variables=jax.tree.map(lambda leaf: leaf * np.nan, state.variables))

    restore = RunCheckpoints.restore
    monkeypatch.setattr(RunCheckpoints, "restore", poisoned)
    with pytest.raises(TrainingDivergedError, match="member 0 was not finite at step 9"):
        _train(dataclasses.replace(CONFIG, epochs=3), run_directory)
    monkeypatch.undo()
    position, state = latest(CONFIG, run_directory)
    assert position.epochs == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.variables))


def test_full_disk_is_one_line_and_costs_no_more_than_the_last_steps(finished, tmp_path):
    run_directory = shutil.copytree(finished[0], tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this: the kernel refuses as it does where a disk is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"could not be written \(.*\): free some space") as caught:
            _train(dataclasses.replace(CONFIG, epochs=3), run_directory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert latest(CONFIG, run_directory)[0].epochs == 2
    assert _train(dataclasses.replace(CONFIG, epochs=3), run_directory).epochs == 3
