"""Colours of paints, rust, stains and surroundings, as a camera sees them: [3, 1, 1] in [0, 1]."""

from functools import cache

import numpy as np

from spotrust_jax.data.synthetic.sheet import Sheet

PALE = [(232, 232, 228), (214, 218, 220), (226, 216, 190), (206, 200, 184), (196, 206, 214), (240, 238, 232)]
GREY = [(150, 154, 158), (118, 122, 126), (176, 178, 176), (92, 98, 106), (134, 128, 118)]
COLOURED = [(96, 134, 108), (84, 118, 156), (140, 150, 112), (206, 180, 60), (70, 96, 84), (120, 156, 186)]
# Red primer, oxide red, orange, terracotta, brown: rusty by colour alone, and not corroded.
RUSTY = [(140, 62, 46), (122, 56, 46), (206, 112, 44), (196, 128, 92), (104, 66, 48), (168, 96, 60), (112, 40, 36)]
# What shows where paint is gone: lighter and more even than rust.
PRIMER = [(150, 74, 58), (142, 66, 50), (170, 98, 72), (134, 78, 62)]
BLACK = [(34, 34, 36), (52, 52, 56), (44, 38, 34)]
# Black scale, dark brown, dull red brown, rust, orange bloom.
RUST = [(28, 22, 19), (60, 42, 33), (102, 66, 48), (152, 94, 56), (214, 134, 64)]
# Glazes that rust water, dirt and algae leave on what they run over.
RUST_STAINS = [(218, 150, 82), (200, 140, 96), (190, 118, 62), (226, 176, 104)]
DIRT_STAINS = [(120, 108, 96), (96, 96, 92), (150, 138, 104), (120, 136, 92), (164, 136, 104)]


def colour_of(sheet: Sheet, colours: list[tuple[int, int, int]]) -> np.ndarray:
    """One of the colours, each batch a little different."""
    drawn = np.array(colours[sheet.rng.integers(len(colours))]) / 255
    batch = sheet.rng.normal(1, 0.09) * sheet.rng.normal(1, 0.03, 3)
    return np.clip(drawn * batch, 0.02, 1).astype(np.float32)[:, None, None]


def paint(sheet: Sheet) -> np.ndarray:
    """Colour of a painted part: pale more often than not, one in seven rusty by its colour."""
    kinds = {"pale": 0.48, "grey": 0.18, "coloured": 0.14, "rusty": 0.15, "black": 0.05}
    lists = {"pale": PALE, "grey": GREY, "coloured": COLOURED, "rusty": RUSTY, "black": BLACK}
    return colour_of(sheet, lists[sheet.choose(kinds)])


def rust_colour(tone: np.ndarray) -> np.ndarray:
    """Colours along the rust scale, 0 black scale to 1 orange bloom: [height, width] to [3, height, width]."""
    shades = _rust_scale()
    return np.take(shades, np.clip(tone * len(shades[0]), 0, len(shades[0]) - 1).astype(np.int64), axis=1)


@cache
def _rust_scale() -> np.ndarray:
    """512 colours [3, 512] of float32 from one end of the rust scale to the other."""
    channels = [np.interp(np.linspace(0, 1, 512), np.linspace(0, 1, len(RUST)), c) for c in zip(*RUST, strict=True)]
    return (np.array(channels) / 255).astype(np.float32)
