"""Polygons as pixels against ray casting, run lengths against numpy and COCO's own encoder."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from spotrust_jax.data.prepare.readers.classes import ClassLabel
from spotrust_jax.data.prepare.readers.drawings import Annotation, DrawnLabel, DrawnPolygon
from spotrust_jax.data.prepare.readers.polygons import RunLengths, covered, decoded, filled, points_of
from spotrust_jax.data.prepare.source import UnusableError

RUST = ClassLabel("rust")

SQUARE = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]])


def drawn(*drawings, file="a.txt", size=None):
    """A label whose drawings are all corrosion; arrays are polygons that labelme draws."""
    drawings = [DrawnPolygon(each, filled) if isinstance(each, np.ndarray) else each for each in drawings]
    annotations = tuple(Annotation((RUST,), each) for each in drawings)
    return DrawnLabel(file, annotations, (RUST,), frozenset({RUST}), size)


def right(pixels):
    return SQUARE + np.array([pixels, 0])


def cast_rays(polygon, height, width):
    """Which pixel centres are inside by the even-odd rule, and their distances to the outline, in pixels."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside, distance = np.zeros((height, width), bool), np.full((height, width), np.inf)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        spans = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= spans & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
        along = along.clip(0, 1)
        distance = np.minimum(distance, np.hypot(x0 + along * (x1 - x0) - x, y0 + along * (y1 - y0) - y))
    return inside, distance


@pytest.mark.parametrize("fill", [filled, covered])
@pytest.mark.parametrize("reach", [(5, 55), (-60, 120), (-1e4, 1e4)], ids=["inside", "beyond", "far beyond"])
def test_self_intersecting_polygons(reach, fill):
    generator = np.random.default_rng(0)
    for corners in (3, 4, 7, 12):
        polygon = generator.uniform(*reach, (corners, 2))
        inside, distance = cast_rays(polygon, 60, 70)
        mask = fill([polygon], 60, 70)
        sure = distance > 1.5
        np.testing.assert_array_equal(mask[sure], inside[sure])
        assert fill is covered or not inside.any() or mask[inside].mean() > 0.97


def test_outline_and_unions():
    np.testing.assert_array_equal(
        np.argwhere(filled([SQUARE], 6, 8)), np.argwhere(np.pad(np.ones((4, 4)), ((1, 1), (2, 2))))
    )
    sliver = np.array([[1.2, 3.1], [6.8, 3.2], [6.8, 3.3]])
    assert filled([sliver], 6, 8).sum() == 6  # thinner than a pixel, not lost

    ring = np.array([[0.0, 0], [20, 0], [20, 20], [0, 20], [0, 0], [5, 5], [15, 5], [15, 15], [5, 15], [5, 5]])
    assert not filled([ring], 30, 30)[8:13, 8:13].any()
    assert filled([ring, SQUARE + 8], 30, 30)[10, 11]


def test_clipping_draws_no_edge_along_the_border():
    """A U whose bottom lies outside: between its arms the border stays empty."""
    u = np.array([[-9.0, 1], [20, 1], [20, 3], [-5, 3], [-5, 20], [20, 20], [20, 22], [-9, 22]])
    mask = filled([u], 30, 30)
    assert mask[1:4, 0].all() and mask[20:23, 0].all()
    assert not mask[5:19].any()


@pytest.mark.parametrize("reach", [(2, 58), (-30, 90)])
def test_covered_is_what_pycocotools_draws(reach):
    generator = np.random.default_rng(1)
    for _ in range(50):
        polygons = [generator.uniform(*reach, (corners, 2)) for corners in generator.integers(3, 9, 3)]
        encoded = coco_mask.merge(coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], 60, 50))
        np.testing.assert_array_equal(covered(polygons, 60, 50), coco_mask.decode(encoded))
    assert covered([np.array([[0.0, 0], [3, 0], [3, 3], [0, 3]])], 6, 8).sum() == 9
    assert not covered([], 6, 8).any()


@pytest.mark.parametrize("reach", [(2, 58), (-30, 90)])
def test_filled_is_what_pillow_draws(reach):
    """labelme gives its points to Pillow as they are."""
    generator = np.random.default_rng(2)
    for corners in (3, 4, 5, 8) * 10:
        polygon = generator.uniform(*reach, (corners, 2))
        canvas = Image.new("L", (50, 60))
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in polygon.tolist()], outline=1, fill=1)
        np.testing.assert_array_equal(filled([polygon], 60, 50), np.asarray(canvas, bool))


def test_findings():
    mask, findings, _, classes = drawn(SQUARE, right(5), SQUARE[:1].repeat(3, 0), right(3.5)).read(6, 8)
    assert [(kind, file, left_out) for kind, file, _, left_out in findings] == [("polygon", "a.txt", False)]
    assert "1 polygon(s) with points" in findings[0].message and "\n" not in findings[0].message
    np.testing.assert_array_equal(mask, filled([SQUARE, right(5), right(3)], 6, 8))
    assert classes == (("rust", "corrosion", mask.sum()), ("without a label", "background", 48 - mask.sum()))
    thin = DrawnPolygon(np.array([[0.0, 1.1], [8, 1.1], [8, 1.4], [0, 1.4]]))
    mask, findings, *_ = drawn(SQUARE, thin).read(6, 8)
    assert "1 polygon(s) with no pixel" in findings[0].message and not findings[0].left_out


@pytest.mark.parametrize(
    ("polygons", "words"),
    [
        ((SQUARE, SQUARE[:2]), "1 polygon.* with fewer than three points"),
        ((SQUARE, SQUARE + 100, SQUARE + 1e7), "2 polygon.* with nothing inside the image of 8 x 6"),
        ((SQUARE[:0],), "1 polygon.* with fewer than three points"),
        ((DrawnPolygon(np.array([[0.0, 1.1], [8, 1.1], [8, 1.4]])),), "corrosion that covers no pixel of 8 x 6"),
    ],
)
def test_labels_that_lose_corrosion_are_left_out(polygons, words):
    with pytest.raises(UnusableError, match=rf"a\.txt has {words}: draw") as caught:
        drawn(*polygons).read(6, 8)
    assert caught.value.kind == "polygon"


def test_labels_without_annotations():
    label = drawn().read(6, 8)
    assert not label.mask.any() and label.findings == ()


def test_background_need_not_be_drawable():
    paint = ClassLabel("paint")
    drawings = (DrawnPolygon(SQUARE), DrawnPolygon(SQUARE[:2]), RunLengths(2, 2, (1, 3)), RunLengths(6, 8, (3,)))
    annotations = (Annotation((RUST,), DrawnPolygon(right(1))), *(Annotation((paint,), each) for each in drawings))
    label = DrawnLabel("a.txt", annotations, (paint, RUST), frozenset({RUST})).read(6, 8)
    assert label.classes == (
        ("paint", "background", 9),
        ("rust", "corrosion", 9),
        ("without a label", "background", 48 - 12),
    )


def test_shares_and_sizes():
    shares = drawn(DrawnPolygon(SQUARE / [8, 6], shares=True))
    np.testing.assert_array_equal(shares.read(60, 80).mask, covered([SQUARE * 10], 60, 80))
    stated = drawn(SQUARE, file="a.json", size=(6, 8))
    assert stated.read(6, 8).mask.any()
    with pytest.raises(UnusableError, match=r"a\.json was drawn on 8 x 6 pixels, its photograph has 6 x 8") as caught:
        stated.read(8, 6)
    assert caught.value.kind == "size_mismatch"
    with pytest.raises(UnusableError, match="1000000000 x 1000000000"):
        drawn(RunLengths(10**9, 10**9, "0")).read(6, 8)


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 2, 3],
        [[1, 2, 3], [4, 5, 6]],
        [[[1, 2], [3, 4]]],
        [[1, 2], [3]],
        "text",
        None,
        [[1, float("nan")]],
        [["a", "b"]],
        {"x": 1},
        [[10**400, 1]],
    ],
)
def test_coordinates_that_are_none(numbers):
    with pytest.raises(ValueError, match="not pairs of finite numbers"):
        points_of(numbers)


def test_run_lengths():
    np.testing.assert_array_equal(
        decoded(RunLengths(2, 3, (1, 2, 3)), "a"), [[False, True, False], [True, False, False]]
    )
    generator = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = generator.random((50, 70)) < share
        counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        np.testing.assert_array_equal(decoded(RunLengths(50, 70, counts), "a"), mask)


@pytest.mark.parametrize("counts", [(), (6, 1), (5,), (-1, 7), "", "0", "zzz", "\x00", "PPPPPPPPPPPPPPPPPPPPP", "é"])
def test_run_lengths_that_are_damaged(counts):
    with pytest.raises(UnusableError, match="a has run lengths that do not add up to 3 x 2 pixels: export"):
        decoded(RunLengths(2, 3, counts), "a")
