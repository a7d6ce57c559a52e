"""Scenes without any steel, to see what a network says of what it does not know: nothing in them is corroded."""

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.camera import lit, photograph
from spotrust_jax.data.synthetic.lettering import dots, print_on, with_time_stamp, words
from spotrust_jax.data.synthetic.scene import SurveyConfig, scene_generator
from spotrust_jax.data.synthetic.sheet import Sheet, blank_sheet, blend, soft_lookup, spread, step

_LEAVES = [(90, 130, 40), (60, 100, 36), (130, 150, 60), (190, 130, 40), (170, 70, 36), (140, 90, 50)]
_BRICKS = [(150, 74, 54), (170, 90, 62), (128, 62, 48), (184, 120, 84), (160, 140, 120)]
_WATER = [(70, 100, 110), (50, 80, 110), (90, 100, 80), (40, 60, 70), (110, 96, 70)]
_DUSK = [(236, 150, 90), (220, 120, 80), (250, 200, 140), (150, 190, 230), (110, 150, 210)]


def draw_out_of_distribution_scene(
    config: SurveyConfig, seed: int, index: int, size: int = 256
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Image of foliage, water, brick, sky or writing, in turns, and a mask that is false throughout."""
    sheet = blank_sheet(scene_generator(config.version, seed, index), size)
    picture = _KINDS[index % len(_KINDS)](sheet)
    image = photograph(sheet, lit(sheet, picture))
    if sheet.bernoulli(0.3):
        image = _stamped(sheet, image)
    return image, np.zeros((size, size), bool)


def _foliage(sheet: Sheet) -> np.ndarray:
    """Leaves in layers, the lower ones in shade; green, or red and brown in autumn."""
    season = sheet.rng.permutation(len(_LEAVES))[:3]
    picture = np.full((3, 1, 1), 0.05, np.float32) + 0 * sheet.x
    for depth in range(5):
        leaf, vein = _leaves(sheet, sheet.uniform(0.08, 0.2))
        colour = colours.colour_of(sheet, [_LEAVES[season[depth % 3]]]) * np.float32(0.35 + 0.16 * depth)
        picture = picture * (1 - 0.5 * np.roll(leaf, (3, 2), (0, 1)))
        picture = blend(picture, colour * (1 + 0.25 * vein + 0.1 * spread(sheet, sheet.noise.ragged)), leaf)
    return picture


def _leaves(sheet: Sheet, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Coverage of leaves of one layer, each with its own place and turn, and their relief about the middle vein."""
    wander = np.float32(0.06) * spread(sheet, sheet.noise.broad)
    u, v = (sheet.x + wander) / np.float32(pitch), (sheet.y - wander) / np.float32(pitch)
    column, row = np.floor(u), np.floor(v)
    turn = 6.3 * _scattered(column, row) + np.float32(sheet.uniform(0, 6))
    a, b = u - column - np.float32(0.5), v - row - np.float32(0.5)
    along, across = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
    leaf = step(0.24 - np.abs(across) - 0.9 * along * along, 0.05)
    return leaf, np.clip(4 * across, -1, 1) - np.exp(-np.abs(across) / 0.02)


def _scattered(column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """A number from 0 to 1 for each cell of a grid, as if it were random."""
    return np.modf(np.abs(np.sin(column * 12.9898 + row * 78.233)) * 437.5)[0]


def _water(sheet: Sheet) -> np.ndarray:
    """Ripples that grow towards the camera and mirror the sky in glints."""
    nearness = np.maximum(1 + np.float32(sheet.uniform(0.3, 1.6)) * sheet.y, 0.15)
    u, v = sheet.x / nearness, 1 / nearness
    waves = soft_lookup(sheet, sheet.noise.broad, u, 3 * v) + 0.6 * soft_lookup(sheet, sheet.noise.ragged, 2 * u, 5 * v)
    picture = colours.colour_of(sheet, _WATER) * np.clip(1 + 0.3 * waves, 0.2, 2)
    return blend(picture, colours.colour_of(sheet, _DUSK), step(waves - sheet.uniform(0.8, 2), 0.6))


def _brick(sheet: Sheet) -> np.ndarray:
    """A wall of bricks, each fired a little differently, in pale or dark mortar."""
    turn = np.float32(sheet.rng.normal(0, 0.1))
    nearness = 1 + np.float32(sheet.rng.normal(0, 0.4)) * sheet.x
    u, v = (sheet.x + turn * sheet.y) / nearness, (sheet.y - turn * sheet.x) / nearness
    height = np.float32(sheet.uniform(0.04, 0.12))
    row = np.floor(v / height)
    a = u / (np.float32(2.6) * height) + 0.5 * (row % 2)
    column = np.floor(a)
    inside = np.minimum((0.5 - np.abs(a - column - 0.5)) * 2.6, 0.5 - np.abs(v / height - row - 0.5))
    fired = _scattered(column, row)
    rough = 0.12 * spread(sheet, sheet.noise.grain) + 0.1 * spread(sheet, sheet.noise.ragged)
    bricks = colours.colour_of(sheet, _BRICKS) * (0.7 + 0.5 * fired + rough)
    mortar = colours.colour_of(sheet, colours.GREY + colours.PALE) * (1 + 0.5 * rough)
    return blend(mortar * np.ones_like(u), bricks, step(inside - 0.07, 0.06))


def _sky(sheet: Sheet) -> np.ndarray:
    """From clear to sunset, with clouds that are lit from one side."""
    clouds = soft_lookup(sheet, sheet.noise.ragged, 0.6 * sheet.x, 1.2 * sheet.y) + spread(sheet, sheet.noise.broad)
    height = step(sheet.y - np.float32(sheet.uniform(-0.3, 0.5)), 1.0)
    picture = blend(colours.colour_of(sheet, _DUSK) * np.ones_like(sheet.x), colours.colour_of(sheet, _DUSK), height)
    relief = 0.8 + 0.8 * np.clip(clouds - np.roll(clouds, 6, 0), -0.5, 0.5)
    cover = step(clouds - sheet.uniform(-0.5, 1.5), 1.5)
    return blend(picture, colours.colour_of(sheet, [(250, 246, 240), (200, 190, 196), (250, 190, 140)]) * relief, cover)


def _writing(sheet: Sheet) -> np.ndarray:
    """A page or sign full of lines of text, dark on light or light on dark."""
    lists = [colours.PALE, colours.COLOURED, colours.BLACK, colours.RUSTY]
    paper, ink = (colours.colour_of(sheet, lists[i]) for i in sheet.rng.permutation(4)[:2])
    picture = paper * (1 + 0.03 * spread(sheet, sheet.noise.ragged))
    height, turn = sheet.uniform(0.05, 0.22), np.float32(sheet.rng.normal(0, 0.15))
    u, v = sheet.x + turn * sheet.y + np.float32(0.46), sheet.y - turn * sheet.x
    for line in range(int(0.9 / height)):
        pattern = dots(words(sheet, int(sheet.rng.integers(2, max(3, int(1.3 / height))))))
        width = np.float32(height * pattern.shape[1] / 9)
        picture = print_on(picture, ink, pattern, u / width, (v + np.float32(0.45)) / np.float32(height) - line)
    return picture


def _stamped(sheet: Sheet, image: np.ndarray) -> np.ndarray:
    stamped = with_time_stamp(sheet, image.transpose(2, 0, 1).astype(np.float32) / 255)
    return np.rint(255 * stamped).astype(np.uint8).transpose(1, 2, 0).copy()


_KINDS = (_foliage, _water, _brick, _sky, _writing)
