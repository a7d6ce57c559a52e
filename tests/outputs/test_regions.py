"""Regions against scipy on the whole mask, their run lengths against pycocotools, their outlines against Pillow."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage

from spotrust_jax.io import streamed_files
from spotrust_jax.outputs.outlines import outlines, run_lengths
from spotrust_jax.outputs.regions import find_regions

SHAPES = [(1, 1), (1, 9), (9, 1), (40, 53)]
DENSITIES = [0.0, 0.35, 0.6, 1.0]


def maps_of(shape, density, seed=0):
    rng = np.random.default_rng(seed)
    probability = np.where(rng.random(shape) < density, rng.uniform(0.5, 1, shape), 0.2).astype(np.float32)
    return {"probability": probability, "epistemic": rng.uniform(0, 0.5, shape).astype(np.float32)}


def regions_of(maps, **options):
    labels = np.zeros(maps["probability"].shape, np.int32)
    return find_regions(lambda name, window: maps[name][window], labels, 0.5, **options)


@pytest.fixture(params=[4_000_000, 120], ids=["one window", "many windows"])
def window(request, monkeypatch):
    monkeypatch.setattr(streamed_files, "_PIXELS_AT_ONCE", request.param)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", DENSITIES)
def test_regions_are_those_of_scipy(window, shape, density):
    maps = maps_of(shape, density)
    mask = maps["probability"] >= 0.5
    expected, count = ndimage.label(mask)
    found = regions_of(maps)
    assert len(found.areas) == count and found.areas.sum() == mask.sum()
    assert (np.diff(found.areas) <= 0).all()
    np.testing.assert_array_equal(found.labels > 0, mask)
    for number in range(1, count + 1):
        pixels = found.labels == number
        assert len(np.unique(expected[pixels])) == 1 and pixels.sum() == found.areas[number - 1]
        rows, columns = np.nonzero(pixels)
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        assert tuple(found.boxes[number - 1]) == box
        np.testing.assert_allclose(found.mean_probability[number - 1], maps["probability"][pixels].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.mean_epistemic[number - 1], maps["epistemic"][pixels].mean(), rtol=1e-5)


def test_small_regions_are_left_out(window):
    maps = maps_of((40, 53), 0.35)
    every, some = regions_of(maps), regions_of(maps, smallest=4)
    assert some.areas.tolist() == [area for area in every.areas.tolist() if area >= 4]
    assert (some.labels > 0).sum() == some.areas.sum() < every.areas.sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", DENSITIES)
def test_run_lengths_give_the_pixels_back(window, shape, density):
    found = regions_of(maps_of(shape, density))
    texts = run_lengths(found.labels, len(found.areas))
    assert len(texts) == len(found.areas)
    for number, text in enumerate(texts, 1):
        run = {"size": list(shape), "counts": text.encode()}
        np.testing.assert_array_equal(coco_mask.decode(run), found.labels == number)
        assert run["counts"] == coco_mask.encode(np.asfortranarray(found.labels == number).astype(np.uint8))["counts"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", DENSITIES)
def test_outlines_enclose_the_pixels(window, shape, density):
    found = regions_of(maps_of(shape, density))
    for number, outline in enumerate(outlines(found.labels, len(found.areas)), 1):
        rings = [outline.exterior, *outline.holes]
        areas = [signed_area(ring) for ring in rings]
        assert min(areas) > 0
        assert areas[0] - sum(areas[1:]) == found.areas[number - 1]
        inside = sum(crossings(ring, shape) for ring in rings) % 2 == 1
        np.testing.assert_array_equal(inside, found.labels == number)
        for ring in rings:  # no ring meets itself, not even in a point
            assert len(np.unique(ring, axis=0)) == len(ring)
            steps = np.diff(ring, axis=0, append=ring[:1])
            assert ((steps == 0).sum(axis=1) == 1).all()


def signed_area(ring):
    x, y = ring.T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def crossings(ring, shape):
    """How often a ray to the right from each pixel's centre crosses a ring."""
    counts = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if x0 == x1:
            counts[int(min(y0, y1)) : int(max(y0, y1)), : int(x0)] += 1
    return counts
