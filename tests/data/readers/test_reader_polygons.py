"""Polygons as pixels against ray casting, run lengths against numpy and COCO's own encoder."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from spotrust_jax.data.readers.polygons import PolygonLabel, RunLengths, decoded, filled, points_of
from spotrust_jax.data.source import UnusableError

SQUARE = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]])


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


@pytest.mark.parametrize("reach", [(5, 55), (-60, 120), (-1e4, 1e4)], ids=["inside", "beyond", "far beyond"])
def test_self_intersecting_polygons(reach):
    generator = np.random.default_rng(0)
    for corners in (3, 4, 7, 12):
        polygon = generator.uniform(*reach, (corners, 2))
        inside, distance = cast_rays(polygon, 60, 70)
        mask = filled([polygon], 60, 70)
        sure = distance > 1.5
        np.testing.assert_array_equal(mask[sure], inside[sure])
        assert not inside.any() or mask[inside].mean() > 0.97


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


def test_findings():
    far = SQUARE + 1e7
    label = PolygonLabel("a.txt", (SQUARE, SQUARE[:2], far, right(5), SQUARE[:0], right(3.5)))
    mask, findings, *_ = label.read(6, 8)
    assert [(kind, file, left_out) for kind, file, _, left_out in findings] == [("polygon", "a.txt", False)] * 3
    for finding, words in zip(
        findings, ("2 polygon(s) with fewer", "1 polygon(s) with nothing", "1 polygon(s) with points"), strict=True
    ):
        assert words in finding.message and "\n" not in finding.message
    np.testing.assert_array_equal(mask, filled([SQUARE, right(3)], 6, 8))


def test_labels_without_usable_polygons():
    for polygons in ((SQUARE[:2],), (SQUARE + 100,)):
        with pytest.raises(UnusableError, match=r"a\.txt has no polygon .*: draw it again") as caught:
            PolygonLabel("a.txt", polygons).read(6, 8)
        assert caught.value.kind == "polygon"
    assert not PolygonLabel("a.txt", ()).read(6, 8).mask.any()


def test_shares_and_sizes():
    shares = PolygonLabel("a.txt", (SQUARE / [8, 6],), shares=True)
    np.testing.assert_array_equal(shares.read(60, 80).mask, filled([SQUARE * 10], 60, 80))
    stated = PolygonLabel("a.json", (SQUARE,), size=(6, 8))
    assert stated.read(6, 8).mask.any()
    with pytest.raises(UnusableError, match=r"a\.json was drawn on 8 x 6 pixels, its photograph has 6 x 8") as caught:
        stated.read(8, 6)
    assert caught.value.kind == "size_mismatch"
    run = PolygonLabel("a.json", (), (RunLengths(10**9, 10**9, "0"),))
    with pytest.raises(UnusableError, match="1000000000 x 1000000000"):
        run.read(6, 8)


@pytest.mark.parametrize(
    "numbers", [[1, 2, 3], [[1, 2], [3]], "text", None, [[1, float("nan")]], [["a", "b"]], {"x": 1}, [[10**400, 1]]]
)
def test_coordinates_that_are_none(numbers):
    with pytest.raises(UnusableError, match=r"a\.json .* not pairs of finite numbers: export"):
        points_of(numbers, "a.json")


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
