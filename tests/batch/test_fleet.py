"""Photographs of known maps through the predictors of a fleet, in folders and in what only looks like a bucket."""

import dataclasses
import importlib.util
import json
from pathlib import Path, PurePosixPath

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import fs

from spotrust_jax.batch import buckets
from spotrust_jax.batch import fleet as module
from spotrust_jax.batch.fleet import Fleet, Predictor, photographs_of, run_fleet, write_fleet_summary
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.outputs.summary import Row
from tests.inference.known_segmenter import KnownSegmenter, known_maps
from tests.trained_like import trained_like


@pytest.fixture
def fleet(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "below/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"none")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"none")
    return Fleet("model", str(tmp_path / "in"), str(tmp_path / "in" / "out"), Analysis(None, 2), 0.5, 10**6)


@pytest.fixture
def segmenters(monkeypatch):
    """The models that predictors load."""
    loaded = []
    monkeypatch.setattr(KnownSegmenter, "spread", lambda self, devices: [self])
    monkeypatch.setattr(module, "load", lambda folder: loaded.append(KnownSegmenter()) or loaded[-1])
    return loaded


@pytest.fixture(params=["folder", "bucket"])
def place(request, monkeypatch):
    """Whether pyarrow knows that the files are on this machine."""
    if request.param == "bucket":
        local = buckets.open_store

        def remote(uri):
            return buckets.Store(fs.SubTreeFileSystem("/", fs.LocalFileSystem()), local(uri).root.relative_to("/"))

        monkeypatch.setattr(module, "open_store", remote)
    return request.param


def call(fleet):
    batch = pa.Table.from_pylist([{"path": path, "stem": stem} for path, stem in photographs_of(fleet)])
    return [Row(**record) for record in Predictor(fleet)(batch).to_pylist()]


def test_photographs_become_maps_and_are_not_done_again(fleet, segmenters, place):
    rows = {Path(row.photograph).name: row for row in call(fleet)}
    assert {name: row.status for name, row in rows.items()} == {"a.png": "ok", "b.png": "ok", "broken.jpg": "failed"}
    assert f"{fleet.input[1:]}/broken.jpg" in rows["broken.jpg"].message
    arrays = np.load(f"{fleet.output}/below/b_maps.npz")
    known = known_maps(np.asarray(Image.open(f"{fleet.input}/below/b.png")))
    np.testing.assert_array_equal(arrays["probability"], known.probability.astype(np.float16))
    assert len(segmenters[0].calls) == 2

    again = {Path(row.photograph).name: row for row in call(fleet)}
    assert again == rows and not segmenters[1].calls
    Path(fleet.output, "a_mask.png").unlink()
    call(fleet)
    assert len(segmenters[2].calls) == 1


@pytest.mark.parametrize("output", [".", "..", "below"])
def test_output_among_the_photographs(fleet, segmenters, place, output):
    mixed = dataclasses.replace(fleet, output=str((Path(fleet.input) / output).resolve()))
    before = photographs_of(mixed)
    rows = call(mixed)
    assert len(before) == len(rows) == 3 and Path(mixed.output, "a_mask.png").is_file()
    assert photographs_of(mixed) == before
    by_name = {row.photograph: row for row in rows}
    assert {row.photograph: row for row in call(mixed)} == by_name and not segmenters[1].calls
    Image.new("RGB", (9, 9)).save(Path(fleet.input, "b.png"))
    Image.new("RGB", (9, 9)).save(Path(fleet.input, "b_overlay.png"))
    with pytest.raises(InputError, match=r"b_overlay\.png lies where a picture of .*b\.png is to be written"):
        photographs_of(dataclasses.replace(fleet, output=fleet.input))


def test_columns_of_every_kind_survive_the_table():
    row = Row("a.png", "a", height=9, area=0.5, novelty=2.0, novel=True, novelty_note="novel")
    table = pa.Table.from_pylist([dataclasses.asdict(row), dataclasses.asdict(Row("b.png", "b"))], module.SCHEMA)
    assert [Row(**record) for record in table.to_pylist()] == [row, Row("b.png", "b")]


def test_only_the_own_path_is_replaced_in_a_message():
    here, there = (Photograph(Path(path), PurePosixPath("a")) for path in ("/tmp/x/a.png", "b\\1/a.png"))
    row = Row("/tmp/x/a.png", "a", "failed", "/tmp/x/a.png: beside /tmp/x/a.pngs and /tmp/x/a.png/b, not /tmp/x/a.png.")
    named = module._named(row, here, there)
    assert named.photograph == "b\\1/a.png"
    assert named.message == "b\\1/a.png: beside /tmp/x/a.pngs and /tmp/x/a.png/b, not b\\1/a.png."


def test_model_of_another_network_fails_all_in_a_batch(fleet, monkeypatch):
    def mismatch():
        raise MismatchError("the checkpoint's variables do not fit")

    monkeypatch.setattr(KnownSegmenter, "spread", lambda self, devices: [self])
    monkeypatch.setattr(module, "load", lambda folder: KnownSegmenter(before=mismatch))
    assert {row.message for row in call(fleet)} == {"the checkpoint's variables do not fit"}


def test_summary_is_one_table(fleet):
    rows = [Row("a.png", "a", height=3, width=4, corroded_fraction=0.25), Row("b.png", "b", "failed", "why")]
    write_fleet_summary(fleet, rows)
    assert [Row(**record) for record in pq.read_table(f"{fleet.output}/summary.parquet").to_pylist()] == rows
    assert [Row(**record) for record in json.loads(Path(fleet.output, "summary.json").read_text())] == rows


@pytest.mark.parametrize(
    ("uri", "words"), [("nothing://x/y", "is no place for files"), ("nowhere", "cannot be listed")]
)
def test_places_that_are_not_there(uri, words):
    with pytest.raises(InputError, match=words):
        buckets.open_store(uri).photographs()


@pytest.mark.parametrize(
    ("cluster", "machines", "expected"),
    [
        ({"CPU": 16.0, "GPU": 3.0}, [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}], ({"num_gpus": 1}, 3)),
        ({"CPU": 16.0, "TPU": 8.0}, [{"CPU": 8.0, "TPU": 4.0}] * 2, ({"resources": {"TPU": 1}}, 8)),
        ({"CPU": 10.0}, [{"CPU": 8.0}, {"CPU": 2.0}, {}], ({"num_cpus": 2}, 2)),
    ],
)
def test_a_predictor_on_each_device_or_machine(cluster, machines, expected):
    assert module._placement(cluster, machines) == expected


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install '.[ray]'")
def test_ray_spreads_what_a_predictor_does(fleet, tmp_path):
    import ray

    model = ModelConfig("deterministic", "w18_small_v1", width=4)
    segmenter = Segmenter(trained_like(model), CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, 64))
    segmenter.save(tmp_path / "model")
    cache = jax.config.jax_compilation_cache_dir
    try:
        trained = dataclasses.replace(fleet, checkpoint=str(tmp_path / "model"), cache=cache)
        rows = list(run_fleet(trained, batch_size=1))
    finally:
        ray.shutdown()
    assert sorted(row.status for row in rows) == ["failed", "ok", "ok"]
    image = np.asarray(Image.open(f"{fleet.input}/a.png"))
    expected = segmenter.predict(image, key=jax.random.key(0)).probability
    np.testing.assert_allclose(np.load(f"{fleet.output}/a_maps.npz")["probability"], expected, atol=1e-3)
