"""Photographs of known maps through the whole pipeline: what is written, what is left, what is done again."""

import csv
import dataclasses
import json
import os
import threading
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import tifffile
from PIL import Image

from spotrust_jax.batch import photograph_job
from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.ground_truth import Truths
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io import streamed_files
from spotrust_jax.io.display import size_in_words
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.labels import read_run, write_label
from spotrust_jax.outputs.region_tables import Region, write_csv
from spotrust_jax.outputs.summary import Row, write_summary
from tests.inference.known_segmenter import KnownSegmenter, known_maps
from tests.report.surveys import MODEL, REPORTED, publish
from tests.trained_like import trained_like

ENDINGS = ("mask.png", "overlay.png", "epistemic.png", "aleatoric.png", "maps.npz")


@pytest.fixture
def photographs(tmp_path):
    """Three of different sizes, one below."""
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (70, 50)), ("below/b.c.png", (64, 64)), ("d.png", (40, 90))):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "in" / name)
    return list_photographs(str(tmp_path / "in"))


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "out", Analysis(64, 2), 0.5)


def run(photographs, job, *segmenters, **options):
    segmenters = segmenters or (KnownSegmenter(),)
    finished = sorted(analyse_photographs(segmenters, photographs, job, **options))
    return [item.row for item in finished], sum(len(segmenter.calls) for segmenter in segmenters)


def pixels(path):
    return np.asarray(Image.open(path))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_hold_the_known_maps(photographs, job):
    truths = job.output.parent / "truths"
    truths.mkdir()
    truth = np.zeros((70, 50), bool)
    truth[:30] = True
    Image.fromarray(truth).save(truths / "a.png")
    rows, _ = run(photographs[:1], dataclasses.replace(job, analysis=Analysis(None, 2), truths=Truths(truths)))
    image = pixels(photographs[0].path)
    arrays, known = np.load(job.output / "a_maps.npz"), known_maps(image)
    for name in ("probability", "epistemic", "log_variance"):
        np.testing.assert_array_equal(arrays[name], getattr(known, name).astype(np.float16))
    mask = image[..., 0] / 255 >= 0.5
    np.testing.assert_array_equal(pixels(job.output / "a_mask.png"), rendering.mask_picture(mask))
    np.testing.assert_array_equal(pixels(job.output / "a_accuracy.png"), rendering.accuracy_picture(mask, truth))
    assert rows[0].corroded_fraction == mask.mean()
    np.testing.assert_allclose(rows[0].mean_epistemic, image[..., 1].mean() / 510, rtol=1e-6)
    np.testing.assert_allclose(rows[0].precision, (mask & truth).sum() / mask.sum())


def test_written_in_parts_as_if_at_once(photographs, job, monkeypatch):
    run(photographs, job)
    monkeypatch.setattr(streamed_files, "_PIXELS_AT_ONCE", 500)
    in_parts = dataclasses.replace(job, output=job.output.parent / "parts")
    run(photographs, in_parts)
    for photograph in photographs:
        for ending in ENDINGS[:-1]:
            name = f"{photograph.stem}_{ending}"
            np.testing.assert_array_equal(pixels(in_parts.output / name), pixels(job.output / name))
        one, other = (np.load(folder.output / f"{photograph.stem}_maps.npz") for folder in (job, in_parts))
        for name in one.files:
            np.testing.assert_allclose(one[name], other[name], atol=1e-3)


def test_large_photographs_take_another_way_to_the_same_maps(photographs, job, monkeypatch):
    native = dataclasses.replace(job, analysis=Analysis(None, 2, tile_size=64, overlap=32))
    run(photographs, native)
    monkeypatch.setattr(photograph_job, "LARGE", 100)
    large = dataclasses.replace(native, output=job.output.parent / "large", max_map_pixels=4000)
    run(photographs, large)
    assert not (large.output / "below" / "b.c_maps.npz").exists()
    with tifffile.TiffFile(large.output / "below" / "b.c_maps.tif") as tiff:
        pages = {page.description: page.asarray() for page in tiff.pages}
    arrays = np.load(job.output / "below" / "b.c_maps.npz")
    for name in ("probability", "epistemic", "log_variance"):
        np.testing.assert_array_equal(pages[name], arrays[name].astype(np.float32))
    one, other = (np.load(folder.output / "a_maps.npz") for folder in (native, large))
    np.testing.assert_array_equal(one["epistemic"], other["epistemic"])
    assert not [path for path in large.output.iterdir() if path.name.startswith("tmp")]


def test_second_start_does_what_is_left(photographs, job):
    first, calls = run(photographs, job)
    assert calls == 3
    again, calls = run(photographs, job)
    assert again == first and calls == 0
    (job.output / "below" / "b.c_maps.npz").write_bytes(b"cut")
    (job.output / "d_mask.png").unlink()
    again, calls = run(photographs, job)
    assert again == first and calls == 2
    assert np.load(job.output / "below" / "b.c_maps.npz")["probability"].shape == (64, 64)
    assert run(photographs, dataclasses.replace(job, threshold=0.4))[1] == 3
    assert run(photographs, job, overwrite=True)[1] == 3
    Image.open(photographs[0].path).rotate(180).save(photographs[0].path)
    assert run(photographs, job)[1] == 1
    (job.output / ".records" / "a.json").write_text("{")
    assert run(photographs, job)[1] == 1


def test_shards_share_a_folder(photographs, job, tmp_path):
    whole = dataclasses.replace(job, output=tmp_path / "whole")
    run(photographs, whole)
    run(photographs[0::2], job)
    run(photographs[1::2], job)
    assert run(photographs, job)[1] == 0
    written = {name: data for name, data in contents(whole.output).items() if ".records" not in name.parts}
    assert written.items() <= contents(job.output).items() and len(written) == 15


def test_all_devices_work_at_once(photographs, job):
    meeting = threading.Barrier(3)
    segmenters = [KnownSegmenter(lambda: meeting.wait(timeout=30)) for _ in range(3)]
    rows, _ = run(photographs, job, *segmenters)
    assert [row.status for row in rows] == ["ok"] * 3
    assert [len(segmenter.calls) for segmenter in segmenters] == [1, 1, 1]


def test_bad_photograph_loses_no_other(photographs, job):
    photographs[1].path.write_bytes(b"no image")
    rows, calls = run(photographs, job)
    assert [row.status for row in rows] == ["ok", "failed", "ok"] and calls == 2
    assert str(photographs[1].path) in rows[1].message
    assert run(photographs, job)[1] == 0


def test_interrupted_run_leaves_complete_files_only(photographs, job):
    calls = iter(range(100))

    def interrupt():
        if next(calls) == 3:
            raise KeyboardInterrupt

    tiled = dataclasses.replace(job, analysis=Analysis(None, 2, tile_size=64, overlap=32))
    with pytest.raises(KeyboardInterrupt):
        run(photographs, tiled, KnownSegmenter(interrupt))
    for path in contents(job.output):
        assert not path.name.startswith(".") and path.suffix in (".png", ".npz", ".json")
        if path.suffix == ".png":
            Image.open(job.output / path).load()
    rows, _ = run(photographs, tiled)
    assert [row.status for row in rows] == ["ok"] * 3


def test_disk_without_room(photographs, job, monkeypatch):
    monkeypatch.setattr(photograph_job.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 50_000})())
    rows, _ = run(photographs, job)
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert "4,096 pixels, whose maps need about 57.3 kB" in rows[1].message and "make room" in rows[1].message
    assert "has 50.0 kB free" in rows[1].message


def test_disk_that_fills_up(photographs, job, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streamed_files.PngWriter, "finish", full)
    rows, _ = run(photographs, job)
    assert {row.status for row in rows} == {"failed"} and "No space left" in rows[0].message
    assert not contents(job.output)


def test_augmentation_has_a_map_a_picture_and_a_column(photographs, job):
    rows, calls = run(photographs[:1], dataclasses.replace(job, analysis=Analysis(256, 2, augment=True)))
    assert calls == 8
    spread = np.load(job.output / "a_maps.npz")["augmentation"]
    np.testing.assert_allclose(rows[0].mean_augmentation, spread.mean(dtype=np.float64), rtol=1e-2)
    assert (job.output / "a_augmentation.png").is_file()


def test_stems_stay_below_the_output(photographs, job):
    run(photographs, job)
    assert PurePosixPath("below/b.c") in [photograph.stem for photograph in photographs]
    for ending in ENDINGS:
        assert Path(job.output / "below" / f"b.c_{ending}").is_file()


def test_model_that_answers_no_numbers_is_a_failure(photographs, job):
    model = ModelConfig("deterministic", "w18_small_v1", width=4)
    variables = trained_like(model)
    variables["params"]["head"]["logit"]["bias"][:] = np.nan
    damaged = Segmenter(variables, CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, 64))
    rows = [item.row for item in analyse_photographs([damaged], photographs[1:2], job)]
    assert rows[0].status == "failed" and rows[0].corroded_fraction is None
    assert "b.c.png cannot be analysed: the model answers with values that are no numbers" in rows[0].message
    assert not list(job.output.rglob("*.png"))
    with pytest.raises(InputError, match="no numbers: its weights are damaged"):
        damaged.predict(np.zeros((64, 64, 3), np.uint8))


def test_names_that_are_no_utf8_lose_nothing(tmp_path, job):
    place = os.fsencode(tmp_path / "in")
    os.mkdir(place)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "in" / "b.png")
    os.rename(place + b"/b.png", place + b"/\xe4 \xff.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "in" / "b.png")
    reported = dataclasses.replace(job, analysis=dataclasses.replace(job.analysis, decomposed=True), **REPORTED)
    rows, calls = run(list_photographs(str(tmp_path / "in")), reported)
    assert [row.status for row in rows] == ["ok", "ok"] and calls == 2
    write_summary(job.output, rows)
    publish(job.output, rows, MODEL)
    # The name comes back from the JSON as it is, and readable in the table.
    named = [row for row in read_run(job.output) if "\udcff" in row.photograph]
    assert [os.fsencode(row.photograph) for row in named] == [place + b"/\xe4 \xff.png"]
    write_label(job.output, named[0], tmp_path / "labels")
    assert sorted(os.listdir(os.fsencode(tmp_path / "labels"))) == [b"\xe4 \xff.json", b"\xe4 \xff.png"]
    for name in ("summary.csv", "regions.csv"):
        assert "%E4 %FF" in (job.output / name).read_text(encoding="utf-8")
    assert run(list_photographs(str(tmp_path / "in")), reported)[1] == 0


@pytest.mark.parametrize("devices", [1, 3])
def test_variables_of_another_network_end_the_run_at_once(photographs, job, devices):
    def mismatch():
        calls.append(1)
        raise MismatchError("the checkpoint's variables do not fit")

    calls = []
    with pytest.raises(MismatchError, match=r"^the checkpoint's variables do not fit$"):
        run(photographs, job, *(KnownSegmenter(before=mismatch) for _ in range(devices)))
    assert len(calls) <= devices
    assert not list(job.output.rglob("*_maps.npz"))


def test_cells_are_no_formulas(tmp_path):
    names = ["=1+1", "@x", "-2", "+3", "plain", "\tx", "a=b"]
    write_summary(tmp_path, [Row(f"in/{name}", name, message=name, corroded_fraction=-0.5) for name in names])
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    expected = ["'=1+1", "'@x", "'-2", "'+3", "plain", "'%09x", "a=b"]
    assert [line["outputs"] for line in lines] == [line["message"] for line in lines] == expected
    assert {line["corroded_fraction"] for line in lines} == {"-0.5"}
    assert [row["outputs"] for row in json.loads((tmp_path / "summary.json").read_text())] == names
    write_csv(tmp_path / "regions.csv", [(Row("=x", "=x"), [Region(1, 2, None, 0, 0, 1, 1, 0.5, 0.1)])])
    assert (tmp_path / "regions.csv").read_text().splitlines()[1].startswith("'=x,'=x,1,2,")


@pytest.mark.parametrize(
    ("size", "words"), [(14, "14 bytes"), (57_344, "57.3 kB"), (1.5e6, "1.5 MB"), (3e10, "30.0 GB")]
)
def test_sizes_in_words(size, words):
    assert size_in_words(int(size)) == words


def test_odd_files_lose_no_neighbours(job, tmp_path):
    """A card of a phone and a drone, with files that hang or fill the memory of who opens them: all in the summary."""
    source = tmp_path / "in"
    source.mkdir()
    rng = np.random.default_rng(0)
    sound = {"a.jpg": "JPEG", "b.jfif": "JPEG", "c.jpe": "JPEG", "d.mpo": "MPO", "e.jp2": None, "f.gif": None}
    for name, format in {**sound, "g.avif": None}.items():
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(source / name, format=format)
    tifffile.imwrite(source / "h.tif", rng.random((40, 48, 3), np.float32), photometric="rgb")
    (source / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    (source / "DJI_0001.DNG").write_bytes(b"II*\0" + bytes(64))
    Image.new("1", (20_000, 20_000)).save(source / "blank.png", optimize=False)
    os.mkfifo(source / "pipe.jpg")
    (source / "loop.jpg").symlink_to("loop.jpg")
    (source / "circle").symlink_to(".")
    rows, _ = run(list_photographs(str(source)), job)
    reported = {Path(row.photograph).name: row.message for row in rows if row.status != "ok"}
    assert {Path(row.photograph).name for row in rows} - reported.keys() == {*sound, "g.avif", "h.tif"}
    words = {
        "IMG_0001.HEIC": "",
        "DJI_0001.DNG": "raw file",
        "blank.png": "blank",
        "pipe.jpg": "pipe",
        "loop.jpg": "itself",
    }
    assert reported.keys() == words.keys()
    for name, message in reported.items():
        assert words[name] in message and ": " in message and "\n" not in message
