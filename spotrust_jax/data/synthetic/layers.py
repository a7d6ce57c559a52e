"""A layer of steel as built, before it corrodes, and the canvas that finished layers are laid on, back to front."""

from typing import NamedTuple

import numpy as np

from spotrust_jax.data.synthetic.sheet import Number, Sheet, blend, soften


class Layer(NamedTuple):
    """One part, or several of one kind; all maps are float32 of [height, width]."""

    albedo: np.ndarray  # [3, height, width]
    shading: np.ndarray  # factor on the light, from the shape of the part
    alpha: np.ndarray  # 1 inside the part, 0 outside
    weakness: np.ndarray  # where corrosion starts, in standard deviations of the noise
    u: np.ndarray  # coordinates on the surface, in image sides at its nearest
    v: np.ndarray
    pixel: np.ndarray | Number  # size of a pixel in those coordinates
    upright: bool  # whether water runs down the image on it


class Painting(NamedTuple):
    """What has been drawn so far."""

    radiance: np.ndarray  # [3, height, width]
    coverage: np.ndarray  # of corrosion, [height, width]


def flat_layer(colour: np.ndarray, u: np.ndarray, v: np.ndarray, pixel: np.ndarray | Number, upright: bool) -> Layer:
    """An even surface that fills the image."""
    ones = np.ones_like(u)
    return Layer(colour * ones, ones, ones, np.zeros_like(u), u, v, pixel, upright)


def lay(canvas: Painting, layer: Layer, coverage: np.ndarray) -> Painting:
    """The layer, corroded as far as `coverage` says, in front of the canvas."""
    radiance = blend(canvas.radiance, layer.albedo * layer.shading, layer.alpha)
    return Painting(radiance, blend(canvas.coverage, coverage, layer.alpha))


def cast_shadow(sheet: Sheet, canvas: Painting, alpha: np.ndarray) -> Painting:
    """The shadow that a part throws on what lies behind it."""
    pixels = sheet.rng.integers(-sheet.size // 24, sheet.size // 24 + 1, 2)
    shadow = np.roll(alpha, tuple(pixels), (0, 1))
    for _ in range(sheet.rng.integers(1, 4)):
        shadow = soften(shadow, 1.0)
    return canvas._replace(radiance=canvas.radiance * (1 - sheet.uniform(0.2, 0.6) * shadow))
