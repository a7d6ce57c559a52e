"""Regions of interest against shapely and explicit pixels, and files that are refused by name."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.prepare.readers.polygons import centred, crosses_itself
from spotrust_jax.data.regions_of_interest import read_region
from spotrust_jax.errors import InputError

shapely = pytest.importorskip("shapely", reason="needs shapely: pip install 'spotrust-jax[dev]'")

HEIGHT, WIDTH = 30, 40


def labelme(path, *shapes, size=(HEIGHT, WIDTH)):
    written = [{"label": label, "shape_type": kind, "points": points, **more} for label, kind, points, more in shapes]
    path.write_text(
        json.dumps({"shapes": written, "imagePath": "a.png", "imageHeight": size[0], "imageWidth": size[1]})
    )
    return path


def polygon(points, label="include"):
    return label, "polygon", points, {}


def rectangle(left, top, right, bottom, label="include"):
    return label, "rectangle", [[left, top], [right, bottom]], {}


def simple_polygons(count, height, width):
    """Corners in the order of their angle around a point: stars, with corners outside of the picture too."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 20)))
        if np.diff(angles, append=angles[0] + 2 * np.pi).max() >= np.pi:
            angles = np.linspace(0, 2 * np.pi, 7)[:-1]
        radii = rng.uniform(0.5, 0.7 * max(height, width), len(angles))
        centre = rng.uniform(0, 1, 2) * (width, height)
        yield centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_200_random_polygons_are_those_of_shapely_to_the_pixel():
    height, width = 57, 83
    y, x = np.mgrid[:height, :width] + 0.5
    for points in simple_polygons(200, height, width):
        expected = shapely.contains_xy(shapely.Polygon(points), x, y)
        np.testing.assert_array_equal(centred([points], height, width), expected)


def test_crossing_sides_are_found_as_shapely_finds_them():
    rng = np.random.default_rng(1)
    found = [
        (crosses_itself(points), shapely.LinearRing(points).is_simple) for points in rng.uniform(0, 9, (300, 5, 2))
    ]
    assert all(crosses != simple for crosses, simple in found) and 0 < sum(crosses for crosses, _ in found) < 300
    assert not any(crosses_itself(points) for points in simple_polygons(50, 57, 83))


def test_polygons_that_share_a_side_share_no_pixel():
    corners = np.array([[0.5, 0.5], [10.5, 0.5], [10.5, 7.5], [0.5, 7.5]])
    left, right = centred([corners], 9, 25), centred([corners + np.array([10, 0])], 9, 25)
    assert not (left & right).any() and left.sum() == right.sum() == 70


def test_whole_picture_rectangles_parts_left_out_and_circles(tmp_path):
    def read(*shapes):
        return read_region(labelme(tmp_path / "a.json", *shapes), HEIGHT, WIDTH)

    assert read(rectangle(0, 0, WIDTH, HEIGHT)).all()
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:20, 10:30] = True
    np.testing.assert_array_equal(read(rectangle(10, 5, 30, 20)), expected)
    expected[8:12, 15:20] = False
    np.testing.assert_array_equal(
        read(rectangle(15, 8, 20, 12, "Exclude"), rectangle(10, 5, 30, 20, "region")), expected
    )
    # Without anything to include, the picture but for what is left out.
    assert read(rectangle(0, 0, 10, HEIGHT, "hole")).sum() == HEIGHT * (WIDTH - 10)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    circle = read(("include", "circle", [[20, 15], [26, 23]], {}))
    np.testing.assert_array_equal(circle, (x - 20) ** 2 + (y - 15) ** 2 < 100)


def test_painted_with_a_brush(tmp_path):
    rng = np.random.default_rng(0)
    patch = rng.random((6, 9)) < 0.5
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "PNG")
    brush = {"mask": base64.b64encode(file.getvalue()).decode()}
    judged = read_region(labelme(tmp_path / "a.json", ("include", "mask", [[4, 7], [12, 12]], brush)), HEIGHT, WIDTH)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[7:13, 4:13] = patch
    np.testing.assert_array_equal(judged, expected)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_masks(tmp_path, mode):
    mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5
    Image.fromarray(mask).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_region(tmp_path / "a.png", HEIGHT, WIDTH), mask)


BOW_TIE = [[2, 2], [20, 20], [20, 2], [2, 20]]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([], "is empty"),
        ([rectangle(-5, 2, 10, 10)], "reaches outside the picture of 40 x 30 pixels"),
        ([rectangle(2, 2, 10, 33)], "reaches outside the picture"),
        ([polygon([[100, 100], [120, 100], [120, 120]])], "reaches outside the picture"),
        ([polygon(BOW_TIE)], "crosses itself"),
        ([rectangle(0, 0, 40, 30), polygon(BOW_TIE, "exclude")], "crosses itself"),
        ([polygon([[2, 2], [20, 20]])], "a polygon of 2 points"),
        ([rectangle(3, 3, 3, 20)], "leaves no pixel"),
        ([rectangle(3, 3, 9, 9), rectangle(0, 0, 40, 30, "exclude")], "leaves no pixel"),
        ([rectangle(3, 3, 9, 9, "corrosion")], "the label 'corrosion': give include or region"),
        ([("include", "line", [[1, 1], [5, 5]], {})], "drawn as 'line'"),
        ([("include", "polygon", [[1, 1], ["x", 5]], {})], "cannot be drawn"),
        ([("include", "mask", [[1, 1], [5, 5]], {"mask": "AAAA"})], "cannot be read"),
    ],
)
def test_drawings_that_are_refused(tmp_path, shapes, message):
    path = labelme(tmp_path / "a.json", *shapes)
    with pytest.raises(InputError, match=message) as caught:
        read_region(path, HEIGHT, WIDTH)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_refused(tmp_path):
    def refused(path, message):
        with pytest.raises(InputError, match=message) as caught:
            read_region(path, HEIGHT, WIDTH)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    refused(labelme(tmp_path / "a.json", rectangle(1, 1, 9, 9), size=(40, 30)), "of 30 x 40 pixels and the photograph")
    for name, text in (("b.json", "{"), ("c.json", "[]"), ("d.json", ""), ("e.json", '{"shapes": 3}')):
        (tmp_path / name).write_text(text)
        refused(tmp_path / name, "JSON|shapes")
    for name, values, message in (
        ("g.png", np.zeros((HEIGHT, WIDTH)), "leaves no pixel"),
        ("h.png", np.full((HEIGHT, WIDTH + 1), 255), "of 41 x 30 pixels and the photograph has 40 x 30"),
        ("i.png", np.full((HEIGHT, WIDTH), 127), "other values than 0 and 255"),
    ):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / name)
        refused(tmp_path / name, message)
    (tmp_path / "j.png").write_bytes(b"")
    refused(tmp_path / "j.png", "is empty")
