"""What lies behind and around steel: walls, ground, plants and sky. None of it corrodes; some looks as if it did."""

from collections.abc import Callable

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.sheet import Sheet, blend, soft_lookup, spread, step, tint

_PLASTER = [(214, 214, 208), (190, 190, 184), (226, 220, 200), (170, 172, 172), (200, 196, 206), (222, 200, 150)]
_CONCRETE = [(140, 138, 132), (168, 164, 154), (120, 120, 118), (152, 146, 130)]
_ASPHALT = [(70, 70, 72), (92, 90, 88), (56, 56, 60), (110, 108, 104)]
_SOIL = [(110, 86, 64), (132, 104, 78), (92, 70, 52), (150, 124, 96), (150, 78, 56)]
_WOOD = [(120, 84, 56), (150, 112, 76), (96, 66, 46), (140, 120, 98)]
_GREEN = [(84, 110, 46), (64, 90, 40), (110, 128, 60), (52, 72, 36), (124, 120, 66)]
_TABLE = [(226, 212, 176), (210, 200, 190), (236, 232, 224), (190, 176, 150)]
_SKY = [(196, 214, 236), (232, 236, 240), (150, 186, 226), (214, 214, 216)]


def background(sheet: Sheet) -> np.ndarray:
    """One surrounding, or two that meet at a line: [3, height, width]."""
    first = sheet.choose(_UPPER)(sheet)
    if sheet.bernoulli(0.35):
        return first
    turn = np.float32(sheet.rng.normal(0, 0.35))
    edge = sheet.y + turn * sheet.x - np.float32(sheet.uniform(-0.25, 0.35))
    second = sheet.choose(_LOWER)(sheet)
    if sheet.bernoulli(0.5):  # dark where they meet
        second = second * (1 - 0.5 * np.exp(-np.maximum(edge, 0) / 0.05))
    return blend(first, second, step(edge, 2 / sheet.size))


def ground(sheet: Sheet) -> np.ndarray:
    """What a loose piece of steel lies on."""
    return sheet.choose({_table: 0.4, _grass: 0.2, _soil: 0.2, _concrete: 0.2})(sheet)


def _plaster(sheet: Sheet) -> np.ndarray:
    """Painted wall: grain, dirt that runs down, perhaps cracks and flaking."""
    wall = _mixed(sheet, _PLASTER, 0.03, 0.04)
    wall = _stained(sheet, wall, 0.6)
    if sheet.bernoulli(0.4):
        wall = _cracked(sheet, wall)
    if sheet.bernoulli(0.25):
        gone = spread(sheet, sheet.noise.ragged) - sheet.uniform(0.8, 1.8)
        wall = blend(wall, colours.colour_of(sheet, _CONCRETE), step(gone, 0.1))
    return wall


def _concrete(sheet: Sheet) -> np.ndarray:
    """Rough cement, often stained dark or rusty by water."""
    slab = _mixed(sheet, _CONCRETE, 0.08, 0.08)
    slab = _stained(sheet, slab, 0.8)
    return _cracked(sheet, slab) if sheet.bernoulli(0.3) else slab


def _asphalt(sheet: Sheet) -> np.ndarray:
    """Dark road with pale worn patches, perhaps a painted line."""
    road = _mixed(sheet, _ASPHALT, 0.12, 0.22)
    if sheet.bernoulli(0.5):
        worn = spread(sheet, sheet.noise.ragged) - sheet.uniform(0.5, 1.5)
        road = blend(road, colours.colour_of(sheet, _CONCRETE), 0.8 * step(worn, 0.2))
    if sheet.bernoulli(0.3):
        line = np.abs(sheet.y + np.float32(sheet.rng.normal(0, 0.6)) * sheet.x - np.float32(sheet.uniform(-0.4, 0.4)))
        yellow = colours.colour_of(sheet, [(214, 170, 60), (230, 230, 224)])
        road = blend(road, yellow, 0.8 * step(np.float32(sheet.uniform(0.01, 0.04)) - line, 0.01))
    return road


def _grass(sheet: Sheet) -> np.ndarray:
    """Blades and gaps, greener or dryer in places, with fallen leaves now and then."""
    blades = spread(sheet, sheet.noise.grain) + 0.6 * spread(sheet, sheet.noise.spots)
    green, dry = colours.colour_of(sheet, _GREEN), colours.colour_of(sheet, [*_SOIL, (170, 150, 96)])
    patches = step(spread(sheet, sheet.noise.broad) - sheet.uniform(-0.5, 1.5), 1.0)
    lawn = blend(green * np.ones_like(sheet.x), dry, patches) * np.clip(1 + 0.35 * blades, 0.15, 2)
    if sheet.bernoulli(0.4):
        leaves = spread(sheet, sheet.noise.spots) - sheet.uniform(1.4, 2.2)
        lawn = blend(lawn, colours.colour_of(sheet, _LEAVES), 0.8 * step(leaves, 0.3))
    return lawn


_LEAVES = [(150, 90, 40), (170, 130, 60), (110, 70, 40)]


def _bushes(sheet: Sheet) -> np.ndarray:
    """Foliage at some distance: clumps in light and shade, gaps of sky or darkness."""
    clumps = spread(sheet, sheet.noise.ragged)
    leaves = spread(sheet, sheet.noise.spots) + spread(sheet, sheet.noise.grain)
    light = np.clip(0.75 + 0.3 * clumps + 0.25 * leaves, 0.08, 2)
    bush = colours.colour_of(sheet, _GREEN) * light
    if sheet.bernoulli(0.4):
        bush = blend(bush, colours.colour_of(sheet, _SKY), step(leaves - clumps - sheet.uniform(1.5, 3), 0.3))
    return bush


def _soil(sheet: Sheet) -> np.ndarray:
    """Earth and stones."""
    earth = _mixed(sheet, _SOIL, 0.15, 0.2)
    stones = spread(sheet, sheet.noise.spots) + spread(sheet, sheet.noise.ragged) - sheet.uniform(1.5, 3.2)
    return blend(earth, colours.colour_of(sheet, _CONCRETE) * (1 + 0.2 * stones), step(stones, 0.3))


def _wood(sheet: Sheet) -> np.ndarray:
    """Planks with grain, side by side."""
    u, v = (sheet.x, sheet.y) if sheet.bernoulli(0.5) else (sheet.y, sheet.x)
    fibres = 1.3 * soft_lookup(sheet, sheet.noise.ragged, 6 * u, 0.3 * v)
    width = np.float32(sheet.uniform(0.08, 0.3))
    place = u / width - np.floor(u / width)
    gap = np.exp(-((np.minimum(place, 1 - place) * width / 0.005) ** 2))
    plank = 1 + 0.15 * np.sin(np.floor(u / width) * np.float32(12.9))
    return colours.colour_of(sheet, _WOOD) * ((1 + 0.13 * fibres) * plank * (1 - 0.8 * gap))


def _paving(sheet: Sheet) -> np.ndarray:
    """Cobbles or slabs seen at an angle, grey or reddish."""
    nearness = 1 + np.float32(sheet.uniform(0.2, 1.4)) * sheet.y
    u, v = sheet.x / nearness * np.float32(1.4), sheet.y / nearness
    pitch = np.float32(sheet.uniform(0.05, 0.16))
    row = np.floor(v / pitch)
    a, b = u / pitch + 0.5 * row, v / pitch
    inside = np.minimum(0.5 - np.abs(a - np.floor(a) - 0.5), 0.5 - np.abs(b - row - 0.5))
    stone = colours.colour_of(sheet, _CONCRETE + _ASPHALT + [(150, 90, 80)])
    tone = 1 + 0.15 * np.sin(np.floor(a) * np.float32(78.2) + row * np.float32(12.9))
    return stone * (tone * (0.4 + 0.6 * step(inside - 0.08, 0.12)) * (1 + 0.15 * spread(sheet, sheet.noise.grain)))


def _sky(sheet: Sheet) -> np.ndarray:
    """Clear, hazy or clouded, paler towards the horizon."""
    clouds = soft_lookup(sheet, sheet.noise.broad, 0.7 * sheet.x, 1.3 * sheet.y) - sheet.uniform(-1.5, 1.5)
    high = colours.colour_of(sheet, _SKY) * (1 + np.float32(sheet.uniform(0.0, 0.3)) * sheet.y)
    return blend(high, np.full((3, 1, 1), 0.97, np.float32), 0.8 * step(clouds, 2.0))


def _buildings(sheet: Sheet) -> np.ndarray:
    """Blocks of all tones far away and out of focus: houses, cars, windows, poles."""
    picture = _mixed(sheet, _PLASTER + _CONCRETE + colours.COLOURED, 0.05, 0.02)
    lists = [
        colours.PALE,
        colours.PALE,
        colours.GREY,
        colours.BLACK,
        colours.BLACK,
        _CONCRETE,
        colours.COLOURED,
        _GREEN,
    ]
    for _ in range(sheet.rng.integers(6, 14)):
        width, height = sheet.rng.exponential(0.12), sheet.rng.exponential(0.1)
        beside = width - np.abs(sheet.x[0] - np.float32(sheet.uniform(-0.5, 0.5)))
        below = height - np.abs(sheet.y[:, 0] - np.float32(sheet.uniform(-0.5, 0.5)))
        block = step(beside, 0.015) * step(below, 0.015)[:, None]
        picture = blend(picture, colours.colour_of(sheet, lists[sheet.rng.integers(len(lists))]), block)
    return picture


def _table(sheet: Sheet) -> np.ndarray:
    """A smooth top or sheet of paper in uneven light."""
    return _mixed(sheet, _TABLE, 0.015, 0.015) * (1 + 0.06 * spread(sheet, sheet.noise.broad))


def _dark(sheet: Sheet) -> np.ndarray:
    """An opening or a dark room."""
    return _mixed(sheet, colours.BLACK, 0.3, 0.1)


def _mixed(sheet: Sheet, tones: list[tuple[int, int, int]], patches: float, grain: float) -> np.ndarray:
    texture = patches * spread(sheet, sheet.noise.ragged) + grain * spread(sheet, sheet.noise.grain)
    return colours.colour_of(sheet, tones) * np.clip(1 + texture, 0.1, 2)


def _stained(sheet: Sheet, wall: np.ndarray, share: float) -> np.ndarray:
    if not sheet.bernoulli(share):
        return wall
    stain = soft_lookup(sheet, sheet.noise.ragged, 2 * sheet.x, 0.5 * sheet.y) - sheet.uniform(-0.5, 1.2)
    glazes = colours.DIRT_STAINS if sheet.bernoulli(0.75) else colours.RUST_STAINS
    return tint(wall, colours.colour_of(sheet, glazes), sheet.uniform(0.3, 1.0) * step(stain, sheet.uniform(0.5, 2)))


def _cracked(sheet: Sheet, wall: np.ndarray) -> np.ndarray:
    line = np.abs(spread(sheet, sheet.noise.broad) + 0.15 * spread(sheet, sheet.noise.ragged) - sheet.uniform(-1, 1))
    return wall * (1 - 0.7 * step(0.01 - line, 0.04))


_UPPER: dict[Callable[[Sheet], np.ndarray], float] = {
    _plaster: 0.26, _concrete: 0.1, _bushes: 0.12, _sky: 0.14, _buildings: 0.2, _wood: 0.05, _dark: 0.05, _grass: 0.08
}  # fmt: skip
_LOWER: dict[Callable[[Sheet], np.ndarray], float] = {
    _asphalt: 0.28, _grass: 0.22, _paving: 0.15, _concrete: 0.15, _soil: 0.12, _plaster: 0.08
}  # fmt: skip
