"""Photographs with regions of interest: all figures are of what is judged, and no bad region is passed over."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.batch.folder import analyse_photographs, finish
from spotrust_jax.batch.ground_truth import RegionFiles, Truths
from spotrust_jax.batch.photograph_job import Job, Loaded, _judged_of_analysis
from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.grades.standards import STANDARDS
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.io import streamed_files
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.region_writer import RegionWriter
from spotrust_jax.outputs.summary import Row, grades, without_grades
from spotrust_jax.outputs.writers import Run
from spotrust_jax.report.writer import ReportWriter
from tests.inference.known_segmenter import KnownSegmenter, known_maps
from tests.report.surveys import MODEL, publish

HEIGHT, WIDTH = 60, 80


class CalibratedSegmenter(KnownSegmenter):
    def __init__(self):
        super().__init__()
        areas = AreaCalibration(0.1, 0.1, 0.9, 20)
        object.__setattr__(self, "config", dataclasses.replace(self.config, areas=areas))


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "below/b.png", "c.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
    return list_photographs(str(tmp_path / "in"))


@pytest.fixture
def regions(tmp_path):
    (tmp_path / "regions" / "below").mkdir(parents=True)
    return tmp_path / "regions"


def run(photographs, folder, regions=None, segmenter=None, **changes):
    files = None if regions is None else RegionFiles.of(regions, photographs)
    job = dataclasses.replace(Job(folder, Analysis(None, 2, decomposed=True), 0.5, regions=files), **changes)
    segmenter = segmenter or CalibratedSegmenter()
    rows = [item.row for item in sorted(analyse_photographs([segmenter], photographs, job))]
    return rows, len(segmenter.calls)


def draw(path, *shapes, size=(HEIGHT, WIDTH)):
    drawn = [{"label": label, "shape_type": "rectangle", "points": points} for label, points in shapes]
    path.write_text(json.dumps({"shapes": drawn, "imageHeight": size[0], "imageWidth": size[1], "imagePath": "x.png"}))


def pixels(path):
    return np.asarray(Image.open(path))


def test_all_figures_are_of_the_judged_pixels(photographs, regions, tmp_path):
    judged = np.zeros((HEIGHT, WIDTH), bool)
    judged[10:50, 20:70] = True
    judged[20:30, 30:40] = False
    draw(regions / "a.json", ("include", [[20, 10], [70, 50]]), ("exclude", [[30, 20], [40, 30]]))
    truth = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.5
    (tmp_path / "truths").mkdir()
    Image.fromarray(truth).save(tmp_path / "truths" / "a.png")
    (row,), _ = run(photographs[:1], tmp_path / "out", regions, truths=Truths(tmp_path / "truths"))
    image = pixels(photographs[0].path)
    maps = known_maps(image)
    mask, p = maps.probability >= 0.5, maps.probability[judged].astype(np.float64)
    assert row.judged == "region of interest" and row.region_of_interest == str(regions / "a.json")
    assert row.judged_pixels == row.analysed_pixels == judged.sum()
    assert row.corroded_fraction == mask[judged].mean()
    np.testing.assert_allclose(row.area, p.mean(), rtol=1e-12)
    np.testing.assert_allclose(row.mean_epistemic, maps.epistemic[judged].mean(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(row.precision, (mask & truth)[judged].sum() / mask[judged].sum())
    expected = dataclasses.replace(maps, area_calibration=AreaCalibration(0.1, 0.1, 0.9, 20)).area(judged)
    np.testing.assert_allclose((row.area, row.area_low, row.area_high), expected[:3], rtol=1e-12)
    overlay = rendering.overlay_picture(image, mask & judged, outline=1)
    outlined = rendering.outlined_region(overlay, judged, 1)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a_overlay.png"), outlined)
    assert (outlined[10, 20:70] == rendering.YELLOW).all() and (outlined[19, 30:40] == rendering.YELLOW).all()
    np.testing.assert_array_equal(outlined[~judged], image[~judged])
    # The mask is a map: it is of the whole picture.
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a_mask.png"), rendering.mask_picture(mask))


def test_whole_picture_as_region_gives_the_same(photographs, regions, tmp_path, monkeypatch):
    for photograph in photographs:
        draw(regions / f"{photograph.stem}.json", ("include", [[0, 0], [WIDTH, HEIGHT]]))
    without, _ = run(photographs, tmp_path / "without")
    monkeypatch.setattr(streamed_files, "_PIXELS_AT_ONCE", 500)
    within, _ = run(photographs, tmp_path / "within", regions)
    for one, other in zip(without, within, strict=True):
        assert (one.judged, other.judged) == ("whole picture", "region of interest")
        for field in dataclasses.fields(one):
            value, same = getattr(one, field.name), getattr(other, field.name)
            if isinstance(value, float):
                np.testing.assert_allclose(value, same, rtol=1e-9)
            elif field.name not in ("judged", "region_of_interest"):
                assert value == same, field.name


def test_photographs_without_a_region_are_judged_as_a_whole_and_say_so(photographs, regions, tmp_path):
    Image.fromarray(np.eye(HEIGHT, WIDTH) > 0).save(regions / "below" / "b.png")
    rows, _ = run(photographs, tmp_path / "out", regions)
    assert [row.judged for row in rows] == ["whole picture", "region of interest", "whole picture"]
    assert rows[1].judged_pixels == HEIGHT and rows[0].judged_pixels == HEIGHT * WIDTH


def test_bad_regions_leave_no_figures(photographs, regions, tmp_path):
    draw(regions / "a.json", ("include", [[0, 0], [WIDTH + 30, HEIGHT]]))
    draw(regions / "below" / "b.json", ("include", [[0, 0], [9, 9]]), size=(9, 9))
    Image.new("1", (WIDTH, HEIGHT)).save(regions / "c.png")
    rows, calls = run(photographs, tmp_path / "out", regions)
    assert calls == 0 and {row.status for row in rows} == {"failed"}
    for row, name in zip(rows, ("a.json", "below/b.json", "c.png"), strict=True):
        assert str(regions / name) in row.message and row.area is None and row.corroded_fraction is None
        assert not row.judged and not any(getattr(row, f"grade_{standard.key}") for standard in STANDARDS)


def test_unclear_regions_are_refused_although_an_earlier_run_had_none(photographs, regions, tmp_path):
    assert run(photographs[:1], tmp_path / "out")[1] == 1
    assert run(photographs[:1], tmp_path / "out", regions)[1] == 0
    for extension in ("png", "tif"):
        Image.new("1", (WIDTH, HEIGHT), 1).save(regions / f"a.{extension}")
    (row,), calls = run(photographs[:1], tmp_path / "out", regions)
    assert row.status == "failed" and "two regions of interest" in row.message and calls == 0
    (regions / "a.tif").unlink()
    assert run(photographs[:1], tmp_path / "out", regions)[1] == 1
    assert run(photographs[:1], tmp_path / "out", regions)[1] == 0
    draw(regions / "a.json", ("include", [[0, 0], [9, 9]]))
    (row,), calls = run(photographs[:1], tmp_path / "out", regions)
    assert calls == 1 and row.judged_pixels == 81
    assert run(photographs[:1], tmp_path / "out")[1] == 1


def test_files_of_labelme_beside_the_photographs(photographs, tmp_path):
    folder = photographs[0].path.parent
    draw(folder / "a.json", ("include", [[0, 0], [9, 9]]))
    rows, _ = run(photographs, tmp_path / "out", folder)
    assert [row.judged_pixels for row in rows] == [81, HEIGHT * WIDTH, HEIGHT * WIDTH]


def test_tables_and_report_are_of_the_judged_spots(photographs, regions, tmp_path):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[5:15, 5:15] = image[30:40, 30:50] = 255
    Image.fromarray(image).save(photographs[0].path)
    draw(regions / "a.json", ("include", [[20, 20], [40, 60]]))
    writers = (RegionWriter(millimetres_per_pixel=2.0), ReportWriter())
    (row,), _ = run(photographs[:1], tmp_path / "out", regions, writers=writers)
    assert row.regions == 1 and row.corroded_square_millimetres == 400 and row.expected_missed_fraction == 0
    publish(tmp_path / "out", [row])
    (line,) = csv.DictReader((tmp_path / "out" / "regions.csv").read_text().splitlines())
    assert [line[name] for name in ("left", "top", "width", "height", "pixels")] == ["30", "30", "10", "10", "100"]


def test_grades_of_rows(photographs, regions, tmp_path):
    (row, *_), _ = run(photographs, tmp_path / "out")
    found = {grade.standard: grade for grade in grades(row)}
    assert found["ASTM D610"].labels and str(found["ASTM D610"]).endswith(", 90%") and row.area_level == 0.9
    assert found["ASTM D610"].text == row.grade_astm_d610 and row.grade_astm_d610_note == ""
    refused = without_grades(row, "no")
    assert {str(grade) for grade in grades(refused)} == {f"{standard.name}: no" for standard in STANDARDS}
    (uncalibrated, *_), _ = run(photographs, tmp_path / "other", segmenter=KnownSegmenter())
    assert uncalibrated.area_low is None and uncalibrated.grade_imo_1330 == ""
    assert "spotrust calibrate" in uncalibrated.grade_imo_1330_note
    Image.new("RGB", (WIDTH, HEIGHT)).save(photographs[0].path)
    (clean, *_), _ = run(photographs, tmp_path / "out")
    assert (
        clean.grade_astm_d610 == "" and "it takes 5334 judged pixels and there are 4800" in clean.grade_astm_d610_note
    )


def test_summary_has_them(photographs, tmp_path):
    rows, _ = run(photographs, tmp_path / "out")
    finish(Job(tmp_path / "out", Analysis(None), 0.5), Run(tmp_path / "out", rows, MODEL))
    (first, *_) = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert first["judged"] == "whole picture" and first["grade_astm_d610"] == rows[0].grade_astm_d610


def test_a_region_that_vanishes_in_the_analysis_is_not_the_whole_photograph(tmp_path):
    judged = np.zeros((400, 600), bool)
    judged[201:204, 313:315] = True
    image = np.zeros((400, 600, 3), np.uint8)
    found = _judged_of_analysis(Loaded(Row("a.png", "a"), image, judged=judged), Job(tmp_path, Analysis(64), 0.5))
    height, width = found.shape
    assert np.argwhere(found).tolist() == [[202 * height // 400, 314 * width // 600]]
