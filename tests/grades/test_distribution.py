"""The letters of ASTM D610 on patterns whose letter the standard's words decide."""

import numpy as np
import pytest

from spotrust_jax.grades.distribution import rust_distribution

SIDE = 1000


def discs(rng, radii):
    """Discs at random places that do not touch, whole within the square."""
    y, x = np.ogrid[:SIDE, :SIDE]
    mask = np.zeros((SIDE, SIDE), bool)
    for radius in radii:
        while True:
            cy, cx = rng.uniform(radius, SIDE - radius, 2)
            disc, around = (np.hypot(y - cy, x - cx) <= r for r in (radius, radius + 2))
            if not (mask & around).any():
                break
        mask |= disc
    return mask


def specks(rng, spacing, side=SIDE):
    """Squares of 8 pixels, one somewhere in each cell of a grid, in a corner of a side."""
    mask = np.zeros((SIDE, SIDE), bool)
    for y in range(0, side, spacing):
        for x in range(0, side, spacing):
            top, left = np.array([y, x]) + rng.integers(0, spacing - 8, 2)
            mask[top : top + 8, left : left + 8] = True
    return mask


def letter(mask, judged=None, pixels=None):
    judged = np.ones_like(mask) if judged is None else judged
    return rust_distribution(mask, judged, judged_pixels=int(judged.sum()) if pixels is None else pixels)


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.3, 0.45])
def test_one_patch_is_spot(share):
    radius = SIDE * (share / np.pi) ** 0.5
    assert letter(discs(np.random.default_rng(0), [radius])) == ("S", None)


@pytest.mark.parametrize("spacing", [20, 50, 100])
def test_specks_all_over_are_pinpoint(spacing):
    assert letter(specks(np.random.default_rng(1), spacing)).letter == "P"


def test_patches_of_all_sizes_all_over_are_general():
    assert letter(discs(np.random.default_rng(2), np.geomspace(60, 6, 40))).letter == "G"
    half = np.zeros((SIDE, SIDE), bool)
    half[:, : SIDE // 2 + 10] = True
    assert letter(half).letter == "G"


def test_specks_in_one_corner_are_spot_and_those_outside_do_not_count():
    corner = specks(np.random.default_rng(3), 20, side=200)
    assert letter(corner).letter == "S"
    few = np.zeros_like(corner)
    few[500:540, 500:540] = True
    judged = ~few
    assert letter(few | corner, judged).letter == "S" and letter(few, judged).letter == ""


def test_too_few_pixels_for_specks():
    mask = specks(np.random.default_rng(1), 50)
    found = letter(mask, pixels=159_999)
    assert found.letter == "" and "it takes 160000 judged pixels and there are 159999" in found.refusal
    assert letter(mask, pixels=160_000) == ("P", None)
    assert letter(discs(np.random.default_rng(0), [80]), pixels=10).letter == "S"
