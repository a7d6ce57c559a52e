"""Corrosion of a layer: where it starts, how far it has come, what it looks like, and the exact share of each pixel.

Corroded is what has turned to rust; stains of rusty water on sound paint are drawn here too and are not corroded.
"""

from typing import NamedTuple

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.layers import Layer
from spotrust_jax.data.synthetic.sheet import Sheet, blend, lookup, soften, spread, step, tint


class Habit(NamedTuple):
    """How corrosion spreads: weights of the fields that make up the attack, and how sharply it ends."""

    broad: float
    ragged: float
    spots: float
    weakness: float
    sharpness: float


_HABITS = {
    Habit(0.4, 1.0, 0.15, 0.8, 0.12): 0.3,  # patches with torn outlines
    Habit(1.0, 0.3, 0.0, 0.8, 0.30): 0.12,  # broad, soft bloom
    Habit(0.6, 0.3, 1.1, 0.5, 0.15): 0.2,  # pits and speckles that gather in places
    Habit(0.2, 0.5, 0.2, 1.8, 0.12): 0.25,  # along edges, welds and bolts
    Habit(0.1, 0.4, 1.3, 0.2, 0.10): 0.13,  # pits all over
}


def corrode(sheet: Sheet, layer: Layer, fraction: float) -> tuple[Layer, np.ndarray]:
    """The layer with about this fraction of it corroded, and the coverage [height, width] in [0, 1]."""
    excess = _attack(sheet, layer, fraction)
    if layer.upright and sheet.bernoulli(0.2):
        excess = _run_down(sheet, excess)
    sharpness = np.float32(sheet.uniform(0.06, 0.3))
    coverage = step(excess, sharpness)
    layer = _stained(sheet, layer, excess)
    if sheet.bernoulli(0.4):
        layer = _flaked(sheet, layer, excess, coverage)
    rough = spread(sheet, sheet.noise.ragged)
    grain = spread(sheet, sheet.noise.grain)
    relief = np.clip(sheet.uniform(0.1, 0.7) * (rough - np.roll(rough, (1, 1), (0, 1))) + 0.12 * grain, -0.5, 0.5)
    rust = _aged(sheet, colours.rust_colour(_tone(sheet, excess, rough, grain)))
    shading = layer.shading * (1 + coverage * relief)
    return layer._replace(albedo=blend(layer.albedo, rust, coverage), shading=shading), coverage


def _attack(sheet: Sheet, layer: Layer, fraction: float) -> np.ndarray:
    """How far the attack exceeds what the paint withstands, in standard deviations: corroded from zero up."""
    habit = sheet.choose(_HABITS)
    scale = np.float32(sheet.uniform(0.5, 1.6))
    u, v = scale * layer.u, scale * layer.v
    if layer.upright and sheet.bernoulli(0.3):
        u, v = 1.6 * u, 0.5 * v  # drawn out along the way of the water
    pits = np.maximum(sheet.noise.spots - np.float32(0.8), 0) * 2
    field = habit.ragged * sheet.noise.ragged + habit.broad * _shifted(sheet, sheet.noise.broad) + habit.spots * pits
    attack = lookup(sheet, field.astype(np.float32), u, v) + habit.weakness * layer.weakness
    visible = attack[::3, ::3][layer.alpha[::3, ::3] > 0.5]
    limit = np.quantile(visible, 1 - fraction) if len(visible) else np.inf
    return np.maximum(attack - np.float32(limit), -10) / np.float32(np.hypot(habit.ragged, habit.broad + habit.spots))


def _shifted(sheet: Sheet, field: np.ndarray) -> np.ndarray:
    """The periodic field from another place on, so that it has nothing to do with the others."""
    return np.roll(field, tuple(sheet.rng.integers(len(field), size=2)), (0, 1))


def _run_down(sheet: Sheet, excess: np.ndarray) -> np.ndarray:
    """What also runs down the image in streaks of many lengths, which narrow as they fade."""
    columns = spread(sheet, sheet.noise.spots)[0] + 0.7 * spread(sheet, sheet.noise.ragged)[0]
    loss = np.exp(np.float32(sheet.uniform(0.6, 1.3)) * columns) * np.float32(sheet.uniform(10, 50) / sheet.size)
    rows = [np.minimum(excess[0], 1)]
    for row in np.minimum(excess[1:], 1):
        rows.append(np.maximum(row, rows[-1] - loss))
    return np.maximum(np.stack(rows) + 0.12 * spread(sheet, sheet.noise.grain), excess)


def _stained(sheet: Sheet, layer: Layer, excess: np.ndarray) -> Layer:
    """Rusty water around, and below, what is corroded."""
    reach = np.float32(sheet.uniform(0.15, 1.3))
    near = np.clip(1 + excess / reach, 0, 1) ** 2
    if layer.upright and sheet.bernoulli(0.5):
        near = np.maximum(near, 0.8 * np.clip(1 + _run_down(sheet, excess) / 0.4, 0, 1))
    glaze = colours.colour_of(sheet, colours.RUST_STAINS)
    return layer._replace(albedo=tint(layer.albedo, glaze * glaze, sheet.uniform(0.1, 0.9) * near))


def _flaked(sheet: Sheet, layer: Layer, excess: np.ndarray, coverage: np.ndarray) -> Layer:
    """Paint that lifts before it falls: a bright torn edge with its shadow, perhaps primer or bare steel at the rim."""
    rim = step(excess + np.float32(sheet.uniform(0.05, 0.25)), 0.06)
    if sheet.bernoulli(0.5):
        bare = colours.colour_of(sheet, colours.GREY if sheet.bernoulli(0.5) else colours.PRIMER)
        layer = layer._replace(albedo=blend(layer.albedo, bare, rim))
    lifted = soften(rim, 1.0)
    slope = np.clip(np.roll(lifted, (1, 1), (0, 1)) - lifted, -1, 1)
    return layer._replace(shading=layer.shading * (1 + sheet.uniform(0.2, 0.7) * slope))


def _tone(sheet: Sheet, excess: np.ndarray, rough: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Position on the rust scale: an orange rim, a darker core, and unevenness at every size."""
    base = sheet.choose({0.08: 0.22, 0.24: 0.32, 0.42: 0.2, 0.6: 0.16, 0.85: 0.1}) + sheet.rng.normal(0, 0.05)
    rim = sheet.uniform(0.0, 0.5) * np.exp(-np.maximum(excess, 0) / np.float32(sheet.uniform(0.05, 0.3)))
    core = sheet.uniform(0.0, 0.2) * np.minimum(np.maximum(excess, 0), 2)
    uneven = sheet.uniform(0.04, 0.14) * rough + sheet.uniform(0.02, 0.08) * grain
    return np.float32(base) + rim - core + uneven


def _aged(sheet: Sheet, rust: np.ndarray) -> np.ndarray:
    """This rust's own brightness, hue (purple brown to yellow brown), and greyness: old rust has lost its colour."""
    hue = np.float32(sheet.rng.normal(0, 0.05))
    colour = np.array([1, 1 + hue, 1 - hue], np.float32) * np.float32(sheet.rng.normal(1, 0.1))
    aged = np.float32(sheet.uniform(0, 0.6)) if sheet.bernoulli(0.5) else np.float32(0)
    return (rust + aged * (rust.mean(0) - rust)) * colour[:, None, None]
