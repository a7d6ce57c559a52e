"""What a run puts on record of its photographs: all folds of all members, and those of the model it starts from."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.checkpoints import CheckpointConfig, write_config
from spotrust_jax.config import DataConfig, FineTuningConfig, ModelConfig, TrainConfig
from spotrust_jax.data.seen import SeenPhotographs, photograph_hash
from spotrust_jax.training import seen
from spotrust_jax.training.input_pipeline import open_data
from spotrust_jax.training.seen import Seen, seen_by_run

MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    _add(folder, "abcdef", ["fold_0", "fold_0", "fold_1", "fold_1", "test", "test"])
    return folder


def _add(folder, names, splits):
    random = np.random.default_rng(len(list(folder.glob("images/*"))))
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(folder / "images" / f"{name}.png")
        Image.fromarray(np.eye(40, 50, dtype=np.uint8) * 255).save(folder / "masks" / f"{name}.png")
    table = folder / "splits.csv"
    rows = table.read_text() if table.exists() else "name,split\n"
    table.write_text(rows + "".join(f"{name},{split}\n" for name, split in zip(names, splits, strict=True)))


def _expected(folder, names):
    images = (np.asarray(Image.open(folder / "images" / f"{name}.png")) for name in names)
    return set(zip(names, map(photograph_hash, images), strict=True))


def _record(best, config):
    return seen_by_run(best, config, open_data(config))


def test_one_fold_and_a_fold_for_each_member(data, tmp_path):
    config = TrainConfig(data=DataConfig(path=str(data), fold=1))
    record = _record(tmp_path / "best", config)
    assert set(record.trained_on) == _expected(data, "ab") and set(record.selected_on) == _expected(data, "cd")
    config = TrainConfig(data=DataConfig(path=str(data), fold_of_member=True), members=2)
    record = _record(tmp_path / "best", config)
    assert set(record.trained_on) == set(record.selected_on) == _expected(data, "abcd")


def test_what_the_start_had_seen(data, tmp_path):
    start = Seen(SeenPhotographs(("a",), ("0" * 16,)), SeenPhotographs(("s",), ("1" * 16,)))
    config = CheckpointConfig(MODEL, 1, (0.5,) * 3, (0.2,) * 3, 64, **start._asdict())
    write_config(tmp_path / "start", config)
    tuned = FineTuningConfig(checkpoint=str(tmp_path / "start"))
    run = TrainConfig(data=DataConfig(path=str(data), fold=1), fine_tuning=tuned)
    record = _record(tmp_path / "best", run)
    # Two photographs called "a", which are not the same one.
    assert set(record.trained_on) == {("a", "0" * 16)} | _expected(data, "ab")
    assert set(record.selected_on) == {("s", "1" * 16)} | _expected(data, "cd")
    scenes = dataclasses.replace(run, data=DataConfig(source="scenes", scenes=(8, 4)))
    assert _record(tmp_path / "best", scenes) == start


def test_a_run_that_goes_on_reads_only_what_is_new(data, tmp_path, monkeypatch):
    run = TrainConfig(data=DataConfig(path=str(data), fold=1))
    first = _record(tmp_path / "best", run)
    write_config(tmp_path / "best", CheckpointConfig(MODEL, 1, (0.5,) * 3, (0.2,) * 3, 64, **first._asdict()))
    reads = []
    original = seen.seen_photographs
    monkeypatch.setattr(seen, "seen_photographs", lambda dataset: reads.append(dataset) or original(dataset))
    assert _record(tmp_path / "best", run) == first and reads == []
    _add(data, "g", ["fold_0"])
    again = _record(tmp_path / "best", run)
    assert set(again.trained_on) == _expected(data, "abg") and again.selected_on == first.selected_on
