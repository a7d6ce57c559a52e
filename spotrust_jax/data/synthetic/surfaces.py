"""Surfaces that fill the image: painted plates, tread plate, tanks; seen from the front or at an angle."""

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.details import with_bolts, with_seams
from spotrust_jax.data.synthetic.layers import Layer, flat_layer
from spotrust_jax.data.synthetic.sheet import Sheet, blend, step


def facing_plane(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates u, v and the size of a pixel on a plane that is turned and tilted a little."""
    angle = sheet.rng.normal(0, 0.15)
    return _project(sheet, angle, sheet.rng.normal(0, 0.25), sheet.rng.normal(0, 0.25))


def floor_plane(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same on a floor that runs away from the camera, towards the top of the image."""
    return _project(sheet, sheet.rng.uniform(-1.0, 1.0), sheet.rng.normal(0, 0.15), sheet.uniform(0.4, 1.5))


def _project(sheet: Sheet, angle: float, across: float, down: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates of a plane at this angle that tilts so much across and down, near or far."""
    nearness = np.maximum(1 + np.float32(across) * sheet.x + np.float32(down) * sheet.y, 0.12)
    nearness = nearness * np.float32(np.exp(sheet.uniform(-0.35, 0.55)))
    x, y = sheet.x / nearness, sheet.y / nearness * np.float32(1 + 0.4 * abs(down))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    pixel = (1 / sheet.size) / (nearness * np.sqrt(nearness))
    return cosine * x + sine * y, cosine * y - sine * x, pixel


def plates(sheet: Sheet) -> Layer:
    """Painted plates with joints, perhaps with a band, ribs, bolts or welds."""
    layer = flat_layer(colours.paint(sheet), *facing_plane(sheet), upright=True)
    layer = with_seams(sheet, layer)
    if sheet.bernoulli(0.3):
        layer = _with_band(sheet, layer)
    if sheet.bernoulli(0.25):
        layer = _with_ribs(sheet, layer)
    return with_bolts(sheet, layer) if sheet.bernoulli(0.5) else layer


def tank(sheet: Sheet) -> Layer:
    """The side of something large and round, darker where it turns away, on a foot that rusts."""
    layer = flat_layer(colours.paint(sheet), *facing_plane(sheet), upright=True)
    turn = np.clip(layer.u * np.float32(sheet.uniform(0.7, 1.6)) + np.float32(sheet.uniform(-0.4, 0.4)), -1, 1)
    layer = layer._replace(shading=0.35 + 0.7 * np.sqrt(1.001 - turn * turn))
    if sheet.bernoulli(0.5):
        foot = np.maximum(np.float32(sheet.uniform(0.2, 0.45)) - layer.v, 0)
        layer = layer._replace(weakness=layer.weakness + 1.5 * np.exp(-foot / 0.06))
    return with_seams(sheet, layer) if sheet.bernoulli(0.6) else layer


def tread_plate(sheet: Sheet) -> Layer:
    """Floor of tread plate: lugs that lie crosswise in turns, joints, perhaps a step down to another level."""
    plane = floor_plane(sheet) if sheet.bernoulli(0.6) else facing_plane(sheet)
    colour = colours.colour_of(sheet, colours.PALE if sheet.bernoulli(0.75) else colours.GREY)
    layer = flat_layer(colour, *plane, upright=False)
    pitch = sheet.uniform(0.045, 0.16)
    lug, relief = _lugs(layer, pitch)
    visible = 1 - step(layer.pixel / pitch - 0.25, 0.25)
    shading = layer.shading * (1 + visible * (sheet.uniform(0.15, 0.6) * relief + sheet.uniform(-0.05, 0.2) * lug))
    layer = layer._replace(shading=shading, weakness=layer.weakness - 0.5 * visible * lug)
    return with_seams(sheet, layer)


def _lugs(layer: Layer, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Height of the lugs in [0, 1], and their relief in light from above left in [-1, 1]."""
    p, q = (layer.u + layer.v) / np.float32(pitch), (layer.u - layer.v) / np.float32(pitch)
    column, row = np.floor(p), np.floor(q)
    turned = (column + row) % 2 == 0
    a, b = p - column - 0.5, q - row - 0.5
    along, across = np.where(turned, b, a) / 0.48, np.where(turned, a, b) / 0.15
    lug = step(1 - along * along - across * across, 0.5 + 4 * layer.pixel / pitch)
    return lug, np.clip(lug * np.where(turned, np.float32(-1.2), np.float32(0.8)) * across, -1, 1)


def _with_band(sheet: Sheet, layer: Layer) -> Layer:
    """A painted band, straight or aslant."""
    across = (layer.u, layer.v, layer.u + layer.v)[sheet.rng.integers(3)] - np.float32(sheet.uniform(-0.3, 0.3))
    inside = step(np.float32(sheet.uniform(0.04, 0.14)) - np.abs(across), 1.5 * layer.pixel)
    return layer._replace(albedo=blend(layer.albedo, colours.paint(sheet), inside))


def _with_ribs(sheet: Sheet, layer: Layer) -> Layer:
    """Corrugation or louvres: parallel ribs, bright on one flank and dark on the other."""
    axis = layer.u if sheet.bernoulli(0.6) else layer.v
    wave = np.sin(axis * np.float32(2 * np.pi / sheet.uniform(0.05, 0.25)) + np.float32(sheet.uniform(0, 6.3)))
    sharp = np.clip(wave * np.float32(sheet.uniform(1, 4)), -1, 1)
    return layer._replace(shading=layer.shading * (1 + sheet.uniform(0.1, 0.35) * sharp))


def cut_off(sheet: Sheet, layer: Layer) -> Layer:
    """The layer with an edge, beyond which its surroundings are seen."""
    axis = layer.u if sheet.bernoulli(0.5) else layer.v
    inside = (axis - np.float32(sheet.uniform(-0.35, 0.1))) * np.float32(1 if sheet.bernoulli(0.5) else -1)
    weakness = layer.weakness + sheet.uniform(0, 1.5) * np.exp(-np.abs(inside) / 0.03)
    return layer._replace(alpha=layer.alpha * step(inside, 1.5 * layer.pixel), weakness=weakness)
