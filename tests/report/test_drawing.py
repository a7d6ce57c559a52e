"""Regions of interest drawn in a real browser, saved as labelme files, and read again by --regions, pixel for pixel."""

import json
import zipfile

import numpy as np
import pytest

from spotrust_jax.batch.ground_truth import RegionFiles
from spotrust_jax.data.regions_of_interest import read_region
from spotrust_jax.inference.preprocessing import list_photographs
from tests.report.browser import opened, wait_until
from tests.report.surveys import job_of, publish, reported, surveyed, write_photographs

HEIGHT, WIDTH = 96, 128


@pytest.fixture
def source(tmp_path):
    write_photographs(tmp_path / "in", ["a.png", "below/b.png"], size=(HEIGHT, WIDTH))
    return tmp_path / "in"


def open_photograph(page, number):
    page.locator(".card button").nth(number).click()
    wait_until(page, "viewer.detail !== null")


def drag(page, *points):
    """Along points in pixels of the photograph."""
    places = [place(page, point) for point in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y)
    page.mouse.up()


def place(page, point):
    """Where a pixel of the photograph is on the page."""
    return page.evaluate(
        """([x, y]) => {
            const canvas = byId('canvas'), box = canvas.getBoundingClientRect(), ratio = box.width / canvas.width;
            const { left, top, width, height } = frame(), [high, wide] = viewer.detail.size;
            return [box.left + (left + x / wide * width) * ratio, box.top + (top + y / high * height) * ratio];
        }""",
        point,
    )


def choose(page, kind, label="include"):
    page.click(f"#drawing-kind [data-value={kind}]")
    page.click(f"#drawing-label [data-value={label}]")


def saved_regions(page, folder):
    with page.expect_download() as download:
        page.click("#save-regions")
    download.value.save_as(folder / "regions.zip")
    with zipfile.ZipFile(folder / "regions.zip") as file:
        assert file.testzip() is None
        file.extractall(folder / "regions")
    return folder / "regions"


def test_shapes_drawn_saved_and_read_again(browser, source, tmp_path):
    path, _ = reported(source, tmp_path / "out")
    with opened(browser, path) as page:
        page.select_option("#sort", "name")
        open_photograph(page, 0)
        choose(page, "rectangle")
        drag(page, (10, 8), (50, 30), (90, 70))
        choose(page, "polygon", "exclude")
        for corner in ((20, 20), (60, 20), (40, 50)):
            drag(page, corner)
        page.keyboard.press("Enter")
        choose(page, "brush", "include")
        page.eval_on_selector("#brush-size", "(s) => { s.value = 0.1; }")
        drag(page, (100, 80), (110, 84), (124, 60))
        wait_until(page, "shapesOf(viewer.photograph).length === 3")
        shapes = page.evaluate("shapesOf(viewer.photograph)")
        assert page.evaluate("[viewer.x, viewer.y]") == [0.5, 0.5]
        folder = saved_regions(page, tmp_path)
        with page.expect_download() as download:
            page.evaluate("saveNotes()")
        download.value.save_as(tmp_path / "notes.json")
        page.evaluate("localStorage.clear()")
    (note,) = json.loads((tmp_path / "notes.json").read_text())["notes"]
    assert note["judged"] == shapes and [shape["label"] for shape in shapes] == ["include", "exclude", "include"]
    judged = read_region(folder / "a.json", HEIGHT, WIDTH)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    (left, top), (right, bottom) = shapes[0]["points"]
    np.testing.assert_allclose(shapes[0]["points"], [[10, 8], [90, 70]], atol=0.3)
    np.testing.assert_allclose(shapes[1]["points"], [[20, 20], [60, 20], [40, 50]], atol=0.3)
    rectangle = (left < x) & (x < right) & (top < y) & (y < bottom)
    triangle = (y > 20) & (y - 20 < 1.5 * (x - 20)) & (y - 20 < 1.5 * (60 - x))
    stroke = np.minimum(distance(x, y, (100, 80), (110, 84)), distance(x, y, (110, 84), (124, 60)))
    expected = (rectangle | (stroke < 4.8)) & ~triangle
    # Only pixels at an outline may differ, by the rounding of where the pointer was.
    edge = np.abs(stroke - 4.8) < 0.8
    edge |= np.minimum.reduce([np.abs(y - 20), np.abs(y - 20 - 1.5 * (x - 20)), np.abs(y - 20 - 1.5 * (60 - x))]) < 1.5
    np.testing.assert_array_equal(judged[~edge], expected[~edge])
    assert judged[78:86, 98:104].sum() > 30

    photographs = list_photographs(str(source))
    job = job_of(tmp_path / "again", regions=RegionFiles.of(folder, photographs))
    rows = surveyed(source, job)
    assert [row.judged for row in rows] == ["region of interest", "whole picture"]
    assert rows[0].judged_pixels == judged.sum()
    with opened(browser, publish(tmp_path / "again", rows)) as page:
        page.select_option("#sort", "name")
        open_photograph(page, 0)
        assert int(page.get_attribute("#viewer", "data-area")) == round(rows[0].corroded_fraction * judged.sum())
        # Everything but what is judged lies under a veil.
        wait_until(page, "paintedShapes.get(viewer.detail.judged)")
        veil = page.evaluate(
            """() => {
                const made = paintedShapes.get(viewer.detail.judged), { width, height } = made;
                const values = made.getContext('2d').getImageData(0, 0, width, height).data;
                return Array.from({ length: width * height }, (_, i) => values[4 * i + 3] > 0);
            }"""
        )
        np.testing.assert_array_equal(np.array(veil).reshape(HEIGHT, WIDTH), ~judged)


def distance(x, y, start, end):
    """Of pixels from a line between two points."""
    (a, b), (c, d) = start, end
    share = np.clip(((x - a) * (c - a) + (y - b) * (d - b)) / ((c - a) ** 2 + (d - b) ** 2), 0, 1)
    return np.hypot(x - a - share * (c - a), y - b - share * (d - b))


def test_crossing_polygons_undo_and_loaded_notes(browser, source, tmp_path):
    path, _ = reported(source, tmp_path / "out")
    with opened(browser, path) as page:
        page.select_option("#sort", "name")
        open_photograph(page, 1)
        choose(page, "polygon")
        for corner in ((10, 10), (60, 60), (60, 10), (10, 60)):
            drag(page, corner)
        page.keyboard.press("Enter")
        assert "crosses itself" in page.inner_text("#drawing-note")
        page.click("#shape-undo")
        choose(page, "rectangle")
        drag(page, (10, 12), (30, 30), (40, 200))
        np.testing.assert_allclose(
            page.evaluate("shapesOf(viewer.photograph)[0].points"), [[10, 12], [40, 96]], atol=0.3
        )
        with page.expect_download() as download:
            page.evaluate("saveNotes()")
        download.value.save_as(tmp_path / "notes.json")
        page.click("#shape-clear")
        assert page.evaluate("shapesOf(viewer.photograph).length") == 0
        page.keyboard.press("Escape")
        page.set_input_files("#load-notes", tmp_path / "notes.json")
        wait_until(page, "shapesOf(photographs.find((one) => one.outputs === 'below/b')).length === 1")
        open_photograph(page, 1)
        folder = saved_regions(page, tmp_path)
        page.evaluate("localStorage.clear()")
    assert read_region(folder / "below" / "b.json", HEIGHT, WIDTH)[13:, 11:39].all()
    assert sorted(file.name for file in folder.rglob("*.json")) == ["b.json"]
