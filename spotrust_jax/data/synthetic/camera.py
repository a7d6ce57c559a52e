"""From what is drawn to a photograph: light and shadow, the lens, the sensor, and what software does to its pixels."""

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.data.synthetic.sheet import Sheet, soften, spread, step

_GREY = np.array([0.3, 0.59, 0.11], np.float32)[:, None, None]


def lit(sheet: Sheet, radiance: np.ndarray) -> np.ndarray:
    """Under a light of its own: its slope and colour, shadows, a flash, the lens's dark corners."""
    slope = sheet.rng.normal(0, 0.35, 2).astype(np.float32)
    light = np.maximum(1 + slope[0] * sheet.x + slope[1] * sheet.y, 0.3)
    for shadow, share in ((_bar_shadow, 0.2), (_leaf_shadow, 0.15), (_fence_shadow, 0.15)):
        if sheet.bernoulli(share):
            light = light * (1 - sheet.uniform(0.25, 0.7) * shadow(sheet))
    if sheet.bernoulli(0.15):
        light = light * _flash(sheet)
    if sheet.bernoulli(0.4):
        light = light * (1 - sheet.uniform(0.3, 1.2) * (sheet.x**2 + sheet.y**2))
    return radiance * light * _white_balance(sheet)


def _white_balance(sheet: Sheet) -> np.ndarray:
    warmth, green = sheet.rng.normal(0, 0.06), sheet.rng.normal(0, 0.025)
    return np.array([1 + warmth, 1 + green, 1 - warmth], np.float32)[:, None, None]


def _bar_shadow(sheet: Sheet) -> np.ndarray:
    """The shadow of something large and straight."""
    across = _across(sheet) - np.float32(sheet.uniform(-0.3, 0.3))
    return step(np.float32(sheet.uniform(0.08, 0.5)) - np.abs(across), sheet.uniform(0.005, 0.12))


def _fence_shadow(sheet: Sheet) -> np.ndarray:
    """The shadow of railings or beams: stripes."""
    pitch = np.float32(sheet.uniform(0.08, 0.4))
    across = _across(sheet)
    stripe = np.abs(across - pitch * np.rint(across / pitch)) - pitch * np.float32(sheet.uniform(0.1, 0.3))
    return step(-stripe, sheet.uniform(0.008, 0.05))


def _leaf_shadow(sheet: Sheet) -> np.ndarray:
    """Dappled light under trees."""
    return step(spread(sheet, sheet.noise.ragged) - sheet.uniform(-0.8, 0.8), sheet.uniform(0.15, 1.0))


def _across(sheet: Sheet) -> np.ndarray:
    angle = sheet.uniform(0, np.pi)
    return np.float32(np.cos(angle)) * sheet.x + np.float32(np.sin(angle)) * sheet.y


def _flash(sheet: Sheet) -> np.ndarray:
    """Bright near the middle, dark around it."""
    centre = sheet.rng.normal(0, 0.15, 2).astype(np.float32)
    distance = (sheet.x - centre[0]) ** 2 + (sheet.y - centre[1]) ** 2
    return 0.45 + 1.1 * np.exp(-distance / np.float32(sheet.uniform(0.03, 0.15)))


def photograph(sheet: Sheet, radiance: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """What the camera makes of radiance [3, height, width]: exposed, blurred, noisy, retouched, compressed."""
    picture = radiance * np.float32(np.exp(sheet.rng.normal(-0.03, 0.2)))
    for _ in range(sheet.choose({0: 0.35, 1: 0.4, 2: 0.15, 4: 0.1})):
        picture = soften(picture, sheet.uniform(0.3, 1.0))
    grey = (picture * _GREY).sum(0)
    picture = grey + np.float32(sheet.uniform(0.55, 1.2)) * (picture - grey) + _sensor_noise(sheet)
    picture = _retouched(sheet, np.clip(picture, 0, 1))
    if sheet.bernoulli(0.6):
        picture = _compressed(picture, sheet.uniform(0.01, 0.07))
    picture = np.clip(picture, 0, 1)
    picture *= 255
    return np.rint(picture, out=picture).astype(np.uint8).transpose(1, 2, 0).copy()


def _sensor_noise(sheet: Sheet) -> np.ndarray:
    """Grain that the channels share, and speckles of colour; one drawing shifted thrice serves all channels."""
    drawn = sheet.rng.standard_normal(sheet.x.shape, np.float32) * np.float32(sheet.rng.exponential(0.008))
    colour = np.float32(sheet.uniform(0.2, 1))
    return np.stack([drawn + colour * np.roll(drawn, shift) for shift in (100, 2000, 30000)])


def _retouched(sheet: Sheet, picture: np.ndarray) -> np.ndarray:
    """Contrast as survey software leaves it: untouched, stretched, or equalised all over or from place to place."""
    grey = (picture * _GREY).sum(0)
    kind = sheet.choose({"none": 0.15, "stretched": 0.2, "equalised": 0.45, "adaptive": 0.2})
    if kind == "none":
        return picture
    if kind == "stretched":
        low, high = np.quantile(grey[::3, ::3], (sheet.uniform(0.0, 0.06), sheet.uniform(0.93, 1.0)))
        return np.clip((picture - np.float32(low)) / np.float32(max(high - low, 0.15)), 0, 1)
    if kind == "equalised":
        equal = _equalised(sheet, grey, 1, 100.0)
    else:
        equal = _equalised(sheet, grey, int(sheet.rng.integers(4, 9)), sheet.uniform(1.8, 6))
    mixed = grey + np.float32(sheet.uniform(0.5, 1.0)) * (equal - grey)
    return np.clip(picture * (mixed / np.maximum(grey, 0.02)), 0, 1)


def _equalised(sheet: Sheet, grey: np.ndarray, cells: int, limit: float) -> np.ndarray:
    """Adaptive histogram equalisation (CLAHE): each cell's clipped histogram, interpolated between cells."""
    bins, side = 64, sheet.size // cells
    level = np.minimum((grey * bins).astype(np.int64), bins - 1)
    curves = np.empty((cells, cells, bins), np.float32)
    for i in range(cells):
        for j in range(cells):
            count = np.bincount(level[i * side : (i + 1) * side, j * side : (j + 1) * side].ravel(), minlength=bins)
            clipped = np.minimum(count, limit * side * side / bins)
            clipped = clipped + (count.sum() - clipped.sum()) / bins
            curves[i, j] = np.cumsum(clipped) / count.sum()
    return _interpolated(sheet, curves, level)


def _interpolated(sheet: Sheet, curves: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The curves [cells, cells, bins] at each pixel's level, linear between the centres of the cells."""
    cells, _, bins = curves.shape
    place = np.clip((sheet.x[0] + np.float32(0.5)) * cells - np.float32(0.5), 0, cells - 1)
    first = np.minimum(place.astype(np.int64), max(cells - 2, 0))
    part = place - first.astype(np.float32)
    second = np.minimum(first + 1, cells - 1)
    flat = curves.ravel()

    def across(row: np.ndarray) -> np.ndarray:
        base = row[:, None] * (cells * bins) + level
        left, right = np.take(flat, base + first * bins), np.take(flat, base + second * bins)
        return left + part * (right - left)

    upper = across(first)
    return upper + part[:, None] * (across(second) - upper)


def _compressed(picture: np.ndarray, coarseness: float) -> np.ndarray:
    """As after JPEG: cosines of 8 by 8 pixels, the finer the coarser rounded."""
    height, width = picture.shape[1:]
    padded = np.pad(picture, ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    tall, wide = padded.shape[1:]
    k = np.arange(8)
    cosines = np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / 16) * np.where(k[:, None] == 0, np.sqrt(1 / 8), 0.5)
    cosines = cosines.astype(np.float32)
    steps = (np.float32(coarseness) * (1 + 0.5 * (k[:, None] + k[None, :]))).astype(np.float32)[:, None, :]
    columns = (cosines @ padded.reshape(3, tall // 8, 8, wide)).reshape(3, tall // 8, 8, wide // 8, 8)
    rounded = steps * np.rint((columns @ cosines.T) / steps)
    rows = (rounded @ cosines).reshape(3, tall // 8, 8, wide)
    return (cosines.T @ rows).reshape(3, tall, wide)[:, :height, :width]
