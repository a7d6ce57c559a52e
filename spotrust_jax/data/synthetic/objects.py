"""Scenes of smooth, painted or polished objects, many of them in the colours of rust: nothing in them is corroded.

They teach a detector that a colour alone is no corrosion.
"""

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.camera import lit, photograph
from spotrust_jax.data.synthetic.lettering import dots, print_on, words
from spotrust_jax.data.synthetic.scene import SurveyConfig, scene_generator
from spotrust_jax.data.synthetic.sheet import Sheet, blank_sheet, blend, spread, step

# Wood, leather, skin, cardboard, copper, red and orange paint, food: warm, and no corrosion.
_WARM = [
    (150, 100, 60),
    (120, 70, 40),
    (220, 170, 140),
    (190, 150, 110),
    (184, 110, 70),
    (190, 30, 36),
    (230, 120, 30),
]
_BRIGHT = [
    (250, 250, 250),
    (236, 236, 240),
    (210, 214, 220),
    (20, 20, 24),
    (40, 90, 170),
    (60, 140, 80),
    (240, 210, 60),
]


def draw_object_scene(
    config: SurveyConfig, seed: int, index: int, size: int = 256
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Image of one to seven objects in front of a plain or out-of-focus background, and a mask false throughout."""
    sheet = blank_sheet(scene_generator(f"{config.version}-objects", seed, index), size)
    picture = _background(sheet)
    for _ in range(int(sheet.rng.integers(1, 8))):
        picture = _with_object(sheet, picture)
    return photograph(sheet, lit(sheet, picture)), np.zeros((size, size), bool)


def _background(sheet: Sheet) -> np.ndarray:
    """White, as in catalogues, or two colours that run into each other, or shapes far out of focus."""
    kind = sheet.choose({"white": 0.3, "gradient": 0.35, "unfocused": 0.35})
    if kind == "white":
        return np.ones((3, 1, 1), np.float32) * np.float32(sheet.uniform(0.85, 1.0)) + 0 * sheet.x
    first, second = (colours.colour_of(sheet, _WARM + _BRIGHT) for _ in range(2))
    where = sheet.y if kind == "gradient" else np.float32(0.5) * spread(sheet, sheet.noise.broad)
    return blend(first + 0 * sheet.x, second, step(where, sheet.uniform(0.5, 2.0)))


def _with_object(sheet: Sheet, picture: np.ndarray) -> np.ndarray:
    """One shape, shaded as a cylinder, a ball or a plate, perhaps grained, glossy or lettered."""
    turn, radius = sheet.uniform(0, np.pi), sheet.uniform(0.06, 0.35)
    x, y = (np.float32(v) for v in sheet.rng.uniform(-0.45, 0.45, 2))
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    across = (cosine * (sheet.x - x) + sine * (sheet.y - y)) / np.float32(radius)
    along = (cosine * (sheet.y - y) - sine * (sheet.x - x)) / np.float32(radius * np.exp(sheet.rng.normal(0.3, 0.6)))
    # A superellipse: a ball at 2, nearly a box at 8.
    power = sheet.uniform(2, 8)
    edge = np.float32(1) - (np.abs(across) ** power + np.abs(along) ** power) ** np.float32(1 / power)
    coverage = step(edge, np.float32(0.02 / radius))
    surface = colours.colour_of(sheet, _WARM + colours.RUSTY if sheet.bernoulli(0.6) else _BRIGHT + colours.GREY)
    surface = surface * _shading(sheet, across, along)
    if sheet.bernoulli(0.35):
        surface = surface * _grain(sheet, across, along)
    if sheet.bernoulli(0.2):
        pattern = dots(words(sheet, int(sheet.rng.integers(2, 8))))
        surface = print_on(surface, colours.colour_of(sheet, _BRIGHT), pattern, along / 2 + 0.5, across + 0.5)
    return blend(picture, surface, coverage)


def _shading(sheet: Sheet, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Darker towards the edges or to one side, with the glint of gloss or polish."""
    side = np.float32(sheet.uniform(-0.6, 0.6))
    kind = sheet.choose({"cylinder": 0.45, "ball": 0.25, "plate": 0.3})
    if kind == "plate":
        return 1 + np.float32(0.4) * side * across
    distance = (across - side) ** 2 + ((along - side) ** 2 if kind == "ball" else 0)
    shade = np.float32(sheet.uniform(0.3, 0.8)) + np.float32(0.5) * np.exp(-distance)
    return shade + np.float32(sheet.uniform(0, 0.8)) * np.exp(-distance / np.float32(sheet.uniform(0.01, 0.1)))


def _grain(sheet: Sheet, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Stripes along the object as of wood or brushed metal, or the mottle of leather and food."""
    if sheet.bernoulli(0.6):
        wave = across * np.float32(sheet.uniform(5, 60)) + spread(sheet, sheet.noise.broad)
        return 1 + np.float32(sheet.uniform(0.05, 0.3)) * np.sin(wave + np.float32(0.5) * along)
    return 1 + np.float32(sheet.uniform(0.03, 0.12)) * spread(sheet, sheet.noise.ragged)
