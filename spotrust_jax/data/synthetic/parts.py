"""Parts that stand in front of a background: pipes, posts, beams, railings, lattices, and loose pieces of steel."""

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.details import bolt_row
from spotrust_jax.data.synthetic.layers import Layer
from spotrust_jax.data.synthetic.sheet import Sheet, spread, step
from spotrust_jax.data.synthetic.surfaces import facing_plane


def pipe(sheet: Sheet) -> Layer:
    """A round pipe at any angle, perhaps with flanges."""
    layer, across = _strip(sheet, sheet.uniform(0.025, 0.2), sheet.uniform(0, np.pi))
    lit = np.float32(sheet.uniform(-0.6, 0.6))
    roundness = np.sqrt(np.clip(1 - (across - lit) ** 2 / (1 + np.abs(lit)) ** 2, 0, 1))
    layer = layer._replace(shading=sheet.uniform(0.15, 0.5) + 0.7 * roundness)
    if sheet.bernoulli(0.3):
        layer = _with_flanges(sheet, layer, across)
    return layer._replace(weakness=layer.weakness - np.float32(sheet.rng.normal(0, 0.7)) * across)


def _with_flanges(sheet: Sheet, layer: Layer, across: np.ndarray) -> Layer:
    """Collars a little darker than the pipe, where it corrodes first."""
    place = np.abs(layer.u - np.float32(sheet.uniform(-0.4, 0.4)))
    collar = step(np.float32(sheet.uniform(0.01, 0.04)) - place, 2 * layer.pixel)
    shading = layer.shading * (1 - 0.35 * np.exp(-place / 0.05)) * (1 + 0.3 * collar)
    return layer._replace(shading=shading, weakness=layer.weakness + 1.5 * np.exp(-place / 0.05))


def beam(sheet: Sheet) -> Layer:
    """A post or beam, upright more often than not: flat, a box seen from its edge, or an I with flanges."""
    leaning = sheet.rng.normal(0, 0.08) + (np.pi / 2 if sheet.bernoulli(0.65) else 0)
    layer, across = _strip(sheet, sheet.uniform(0.06, 0.32), leaning)
    layer = sheet.choose({_flat: 0.3, _box: 0.35, _i_beam: 0.35})(sheet, layer, across)
    if sheet.bernoulli(0.3):
        width = float(np.mean(layer.pixel)) * sheet.size * sheet.uniform(0.015, 0.03)
        layer = bolt_row(sheet, layer, layer.u, layer.v - np.float32(sheet.uniform(-0.1, 0.1)), width)
    if sheet.bernoulli(0.4):  # where it stands in the ground
        foot = np.maximum(np.float32(sheet.uniform(0.1, 0.45)) - sheet.y, 0)
        layer = layer._replace(weakness=layer.weakness + 2.5 * np.exp(-foot / np.float32(sheet.uniform(0.03, 0.15))))
    return layer


def _flat(sheet: Sheet, layer: Layer, across: np.ndarray) -> Layer:
    edge = np.exp((np.abs(across) - 1) / 0.06)
    shading = layer.shading * (1 + sheet.uniform(-0.25, 0.25) * edge * np.sign(across))
    return layer._replace(shading=shading, weakness=layer.weakness + sheet.uniform(0, 1.5) * edge)


def _box(sheet: Sheet, layer: Layer, across: np.ndarray) -> Layer:
    corner = across - np.float32(sheet.uniform(-0.7, 0.7))
    side = step(corner, 0.04)
    shading = layer.shading * (1 - sheet.uniform(-0.3, 0.65) * side) * (1 + 0.1 * np.exp(-np.abs(corner) / 0.03))
    return layer._replace(
        shading=shading, weakness=layer.weakness + sheet.uniform(0, 1.5) * np.exp(-(corner**2) / 0.02)
    )


def _i_beam(sheet: Sheet, layer: Layer, across: np.ndarray) -> Layer:
    """Two flanges and, set back between them, the web in their shadow."""
    inner = np.float32(sheet.uniform(0.55, 0.85))
    depth = inner - np.abs(across)
    web = step(depth, 0.03)
    occluded = np.exp(-np.maximum(inner + across * np.float32(sheet.rng.choice([-1, 1])), 0) / 0.25)
    shading = layer.shading * (1 - web * (sheet.uniform(0.05, 0.3) + 0.5 * occluded))
    line = np.exp(-np.abs(depth) / 0.08)
    return layer._replace(shading=shading * (1 - 0.3 * line * web), weakness=layer.weakness + 1.3 * line)


def _strip(sheet: Sheet, half_width: float, angle: float) -> tuple[Layer, np.ndarray]:
    """A strip through the image that may narrow with distance, and the position across it in [-1, 1]."""
    x, y = sheet.x - np.float32(sheet.rng.normal(0, 0.18)), sheet.y - np.float32(sheet.rng.normal(0, 0.15))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, beside = cosine * x + sine * y, cosine * y - sine * x
    nearness = np.clip(1 + np.float32(sheet.rng.normal(0, 0.5)) * along, 0.3, 2.5)
    radius = np.float32(half_width) * nearness
    across = np.clip(beside / radius, -1.2, 1.2)
    pixel = (1 / sheet.size) / nearness
    alpha = step(1 - np.abs(beside / radius), 1.5 / sheet.size / radius)
    if sheet.bernoulli(0.25):
        alpha = alpha * step(np.float32(sheet.uniform(0.05, 0.35)) - along, 1.5 / sheet.size)
    colour = colours.paint(sheet) * np.ones_like(sheet.x)
    zero = np.zeros_like(sheet.x)
    return Layer(colour, zero + 1, alpha, zero, along / nearness, beside / nearness, pixel, upright=True), across


def railing(sheet: Sheet) -> Layer:
    """Bars side by side between rails, as a fence that may run away to one side."""
    u, v, pixel = facing_plane(sheet)
    zoom = np.float32(sheet.uniform(1.2, 2.6))
    u, v, pixel = u / zoom, v / zoom, pixel / zoom
    pitch, thick = np.float32(sheet.uniform(0.06, 0.16)), np.float32(sheet.uniform(0.008, 0.02))
    beside = u - pitch * np.rint(u / pitch)
    rails = np.abs(v - np.float32(sheet.uniform(-0.25, 0.2))), np.abs(v - np.float32(sheet.uniform(0.2, 0.35)))
    rail = np.minimum(*rails) - np.float32(sheet.uniform(0.0, 0.012))
    alpha = np.maximum(step(thick - np.abs(beside), 1.5 * pixel), step(thick - rail, 1.5 * pixel))
    shading = 0.95 - sheet.uniform(-0.4, 0.4) * np.clip(np.where(rail < thick, rail, beside) / thick, -1, 1)
    weakness = 1.5 * np.exp(-np.maximum(np.maximum(np.abs(beside), rail), 0) / 0.02)
    colour = colours.paint(sheet) * np.ones_like(u)
    return Layer(colour, shading, alpha, weakness, u, v, pixel, upright=True)


def lattice(sheet: Sheet) -> Layer:
    """Chords with diagonals between them, and riveted plates where they meet."""
    u, v, pixel = facing_plane(sheet)
    period, depth = np.float32(sheet.uniform(0.35, 0.8)), np.float32(sheet.uniform(0.18, 0.35))
    thick = np.float32(sheet.uniform(0.018, 0.05))
    phase = u / period - np.floor(u / period)
    diagonal = np.abs(v - depth * (4 * np.abs(phase - np.float32(0.5)) - 1)) / np.hypot(1, 4 * depth / period)
    chord = np.abs(np.abs(v) - depth)
    place = phase - np.where(v < 0, np.float32(0.5), np.float32(0))  # nodes of the upper chord lie between the lower's
    node = np.abs(place - np.rint(place)) * period
    plate = np.maximum(node, chord) - 2.2 * thick
    beside = np.minimum(np.minimum(np.where(np.abs(v) < depth, diagonal, 1), chord), plate + thick)
    zero = np.zeros_like(u)
    shading = 1 - 0.3 * np.clip(np.where(chord < thick, v - np.sign(v) * depth, diagonal) / thick, -1, 1)
    shading = shading - 0.12 * step(-plate, pixel)
    weakness = sheet.uniform(0.3, 1.8) * np.exp(-np.maximum(plate, 0) / 0.05)
    colour, alpha = colours.paint(sheet) * (zero + 1), step(thick - beside, 1.5 * pixel)
    layer = Layer(colour, shading, alpha, weakness, u, v, pixel, upright=True)
    return bolt_row(sheet, layer, u, chord, float(thick) * 0.3)


def piece(sheet: Sheet) -> Layer:
    """A loose plate or bar with torn edges, which lies somewhere."""
    angle = sheet.uniform(0, np.pi)
    layer, across = _strip(sheet, sheet.uniform(0.08, 0.22), angle)
    half_length = np.float32(sheet.uniform(0.12, 0.5))
    torn = np.float32(0.02 * sheet.rng.random() ** 2) * spread(sheet, sheet.noise.ragged)
    ends = (half_length - np.abs(layer.u)) / half_length
    inside = np.minimum((1 - np.abs(across)) * 0.15, ends * half_length) + torn
    edge = np.exp(-np.maximum(inside, 0) / 0.012)
    shading = layer.shading * (1 - 0.45 * edge * np.sign(across + 0.3 * ends))
    return layer._replace(alpha=step(inside, 2.0 / sheet.size), shading=shading, upright=False)
