"""What is fixed to a surface or joins its parts: seams, welds, bolts. Corrosion likes all of them."""

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.layers import Layer
from spotrust_jax.data.synthetic.sheet import Sheet, blend, spread, step


def with_seams(sheet: Sheet, layer: Layer) -> Layer:
    """Up to one joint each way: an open groove, a lap or a weld; the plates beside it are painted alike or not."""
    for axis, along in ((layer.u, layer.v), (layer.v, layer.u)):
        if sheet.bernoulli(0.55):
            joint = axis - np.float32(sheet.uniform(-0.4, 0.4))
            if sheet.bernoulli(0.25):
                side = step(joint, 1.5 * layer.pixel)
                layer = layer._replace(albedo=blend(layer.albedo, colours.paint(sheet), side))
            kind = sheet.choose({_groove: 0.4, _lap: 0.3, _weld: 0.3})
            shading = layer.shading * kind(sheet, joint, along)
            close = np.exp(-np.abs(joint) / np.float32(sheet.uniform(0.02, 0.09)))
            layer = layer._replace(shading=shading, weakness=layer.weakness + sheet.uniform(0.5, 2.0) * close)
    return layer


def _groove(sheet: Sheet, joint: np.ndarray, along: np.ndarray) -> np.ndarray:
    width = np.float32(sheet.uniform(0.004, 0.014))
    lip = np.exp(-(((joint - 2 * width) / width) ** 2))
    return 1 - sheet.uniform(0.4, 0.85) * np.exp(-((joint / width) ** 2)) + 0.15 * lip


def _lap(sheet: Sheet, joint: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The upper plate's edge catches light; below it lies a shadow, and everything a little darker."""
    width = np.float32(sheet.uniform(0.01, 0.05))
    shadow = step(joint, 0.006) * np.exp(-np.maximum(joint, 0) / width)
    bright = np.exp(-(((joint + 0.006) / 0.005) ** 2))
    return (1 - 0.6 * shadow + 0.15 * bright) * (1 - sheet.uniform(0, 0.35) * step(joint, 0.006))


def _weld(sheet: Sheet, joint: np.ndarray, along: np.ndarray) -> np.ndarray:
    """A bead of scales that overlap like shingles."""
    width = np.float32(sheet.uniform(0.01, 0.03))
    bead = np.exp(-((joint / width) ** 4))
    scales = np.sin((along + 2 * joint * joint / width) * np.float32(2 * np.pi / (0.6 * width)))
    return 1 + bead * (0.18 * scales - 0.25 * np.clip(joint / width, -1, 1))


def with_bolts(sheet: Sheet, layer: Layer) -> Layer:
    """A row of bolts or rivets: domed heads that are lit from above left and throw a small shadow."""
    along, across = (layer.u, layer.v) if sheet.bernoulli(0.5) else (layer.v, layer.u)
    return bolt_row(sheet, layer, along, across - np.float32(sheet.uniform(-0.4, 0.4)), sheet.uniform(0.012, 0.036))


def bolt_row(sheet: Sheet, layer: Layer, along: np.ndarray, across: np.ndarray, radius: float) -> Layer:
    """Bolts of this radius where `across` is zero."""
    pitch = np.float32(radius * sheet.uniform(4, 9))
    shifted = along + pitch * np.float32(sheet.uniform(0, 1))
    du = (shifted - pitch * np.floor(shifted / pitch) - pitch / 2) / np.float32(radius)
    dv = across / np.float32(radius)
    distance = np.sqrt(du * du + dv * dv)
    head = step(1 - distance, 1.5 * layer.pixel / radius + 0.1)
    shadow = np.exp(-((du - 0.5) ** 2 + (dv - 0.5) ** 2))
    shading = layer.shading * (1 - sheet.uniform(0.3, 0.6) * shadow)
    dome = 1.0 - np.clip(0.4 * (du + dv), -0.7, 0.7)
    halo = np.exp(-np.maximum(distance - 1, 0) / np.float32(sheet.uniform(0.4, 1.5)))
    torn = 1 + 0.4 * spread(sheet, sheet.noise.ragged)
    return layer._replace(
        shading=shading + head * (dome * layer.shading - shading),
        weakness=layer.weakness + sheet.uniform(0.0, 2.2) * halo * torn,
    )
