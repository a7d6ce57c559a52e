"""Predictions as labels: what the reader of prepare_data makes of them against the masks they come from."""

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.data.prepare.readers import labelme
from spotrust_jax.data.prepare.readers.polygons import filled
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.outputs.labels import (
    LabelWriter,
    checked_in,
    chosen_rows,
    polygons_of,
    read_run,
    simplified,
    write_label,
)
from spotrust_jax.outputs.summary import write_summary
from tests.inference.known_segmenter import KnownSegmenter


def iou(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


def smooth_mask(seed, shape=(150, 200), level=0.0, sigma=5):
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, sigma) > level


@pytest.mark.parametrize("seed", range(4))
def test_polygons_give_nearly_the_same_mask(seed):
    mask = smooth_mask(seed)
    polygons = polygons_of(mask)
    assert iou(filled(polygons, *mask.shape), mask) > 0.95
    assert len(polygons) == ndimage.label(mask)[1]
    assert sum(map(len, polygons)) < 0.3 * (mask ^ ndimage.binary_erosion(mask)).sum()


def test_small_and_thin_regions_and_holes_survive():
    mask = np.zeros((30, 40), bool)
    mask[2, 2] = mask[5, 2:9] = mask[8:15, 4] = True
    mask[4:24, 20:36] = True
    mask[8:12, 24:28] = mask[15:20, 30:33] = False
    np.testing.assert_array_equal(filled(polygons_of(mask), 30, 40), mask)
    assert len(polygons_of(mask, smallest=8)) == 1


def test_simplified_outline_is_nowhere_farther_than_the_tolerance():
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = 50 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    fewer = simplified(circle, 0.5)
    # The sagitta of an arc of 2a is r (1 - cos a): about 2 pi / (2 arccos(1 - 0.5 / 50)) corners.
    assert 22 <= len(fewer) <= 50
    middle = (fewer + np.roll(fewer, -1, axis=0)) / 2
    assert np.hypot(*middle.T).min() >= 49.5 - 1e-9


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (60, 80)), ("a.png", (50, 64)), ("below/b 'c'.png", (64, 64))):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8))
        small.resize(size[::-1], Image.Resampling.BICUBIC).save(tmp_path / "in" / name)
    job = Job(tmp_path / "out", Analysis(None, 2), 0.5)
    finished = sorted(analyse_photographs([KnownSegmenter()], list_photographs(str(tmp_path / "in")), job))
    write_summary(job.output, [item.row for item in finished])
    return job.output


def test_reader_of_prepare_data_gets_the_masks_back(predictions, tmp_path):
    rows = read_run(predictions)
    for row in chosen_rows(rows, None):
        write_label(predictions, row, tmp_path / "labels")
    reading = labelme.read(tmp_path / "labels", ())
    assert not reading.findings and len(reading.photographs) == 3
    for photograph in reading.photographs:
        image = np.asarray(Image.open(photograph.image))
        mask = image[..., 0] / np.float32(255) >= 0.5
        assert iou(photograph.label.read(*mask.shape).mask, mask) > 0.9
    assert (tmp_path / "labels" / "below" / "b 'c'.json").is_file()


def test_job_with_labels_writes_what_the_program_makes_of_its_maps(predictions, tmp_path):
    photographs = list_photographs(str(tmp_path / "in"))
    job = Job(tmp_path / "job", Analysis(None, 2), 0.5, writers=(LabelWriter(),))
    finished = sorted(analyse_photographs([KnownSegmenter()], photographs, job))
    assert [item.row for item in finished] == read_run(predictions)
    for item in finished:
        by_program = write_label(predictions, item.row, tmp_path / "labels")
        by_job = job.output / "labels" / by_program.relative_to(tmp_path / "labels")
        assert (
            by_job.read_bytes() == by_program.read_bytes()
            and by_job.with_name(json.loads(by_job.read_text())["imagePath"]).is_file()
        )
    # A second run does nothing anew, and one with other settings does.
    assert all(item.earlier for item in analyse_photographs([KnownSegmenter()], photographs, job))
    larger = dataclasses.replace(job, writers=(LabelWriter(smallest_pixels=50),))
    assert not any(item.earlier for item in analyse_photographs([KnownSegmenter()], photographs, larger))


def test_only_what_was_checked(predictions, tmp_path):
    notes = tmp_path / "notes.json"
    items = [{"outputs": "a.png", "checked": True, "note": ""}, {"outputs": "a.jpg", "checked": False, "note": "x"}]
    notes.write_text(json.dumps({"notes": items}))
    rows = read_run(predictions)
    assert [row.outputs for row in chosen_rows(rows, checked_in(notes))] == ["a.png"]
    with pytest.raises(InputError, match="no photograph is both marked as checked"):
        chosen_rows(rows, frozenset())
    failed = [dataclasses.replace(row, height=None) for row in rows]
    with pytest.raises(InputError, match="no photograph has maps"):
        chosen_rows(failed, None)


def test_bad_input_is_one_line(predictions, tmp_path):
    with pytest.raises(InputError, match=r"summary\.json does not exist: give the --output folder"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="do not exist: save them in the report"):
        checked_in(tmp_path / "nothing.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match="are not those of a report"):
        checked_in(tmp_path / "bad.json")
    row = read_run(predictions)[0]
    with pytest.raises(InputError, match=r"gone\.png cannot be copied"):
        write_label(predictions, dataclasses.replace(row, photograph="gone.png"), tmp_path / "labels")


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": "../x"},
        {"outputs": "/tmp/x"},
        {"outputs": "below/../../x"},
        {"outputs": ""},
        {"outputs": 5},
        {"outputs": "a\0"},
        {"photograph": None},
        {"height": "70"},
        {"width": "50"},
        {"width": [50]},
    ],
)
def test_summary_of_somebody_else_names_nothing_outside(predictions, change):
    records = json.loads((predictions / "summary.json").read_text())
    records[0] |= change
    (predictions / "summary.json").write_text(json.dumps(records))
    with pytest.raises(InputError, match=r"names photograph .* no places below|is no summary of this version"):
        read_run(predictions)


def test_only_the_photograph_of_the_mask_is_copied(predictions, tmp_path):
    row, secret = read_run(predictions)[0], tmp_path / "secret"
    secret.write_text("key")
    os.mkfifo(tmp_path / "pipe.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "other.png")
    for path, words in (
        (secret, "cannot be copied"),
        (tmp_path / "pipe.jpg", "no such file"),
        (tmp_path / "other.png", "9 x 9"),
    ):
        with pytest.raises(InputError, match=words):
            write_label(predictions, dataclasses.replace(row, photograph=str(path)), tmp_path / "labels")
    assert not (tmp_path / "labels").exists()
