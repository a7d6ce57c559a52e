"""What is taken for corrosion and is none: primer, stains, dirt, wet patches, worn paint, on steel and on walls."""

import numpy as np

from spotrust_jax.data.synthetic import colours
from spotrust_jax.data.synthetic.layers import Layer
from spotrust_jax.data.synthetic.sheet import Sheet, blend, soft_lookup, spread, step, tint


def weathered(sheet: Sheet, layer: Layer) -> Layer:
    """The layer with the traces of its years, each of them or not."""
    albedo = _mottled(sheet, layer)
    age = sheet.uniform(0, 2)
    for trace, share in ((_worn, 0.2), (_dirty, 0.45), (_rust_stained, 0.25), (_wet, 0.1), (_scratched, 0.15)):
        if sheet.bernoulli(age * share):
            albedo = trace(sheet, layer, albedo)
    return layer._replace(albedo=albedo)


def _mottled(sheet: Sheet, layer: Layer) -> np.ndarray:
    patches = spread(sheet, sheet.noise.ragged)
    grain = spread(sheet, sheet.noise.grain)
    return layer.albedo * (1 + sheet.uniform(0.01, 0.08) * patches + sheet.uniform(0.0, 0.06) * grain)


def _worn(sheet: Sheet, layer: Layer, albedo: np.ndarray) -> np.ndarray:
    """Paint that is gone down to primer or sound steel, with a sharp edge; or repairs in another paint."""
    under = colours.colour_of(sheet, _UNDER[sheet.rng.integers(len(_UNDER))])
    gone = soft_lookup(sheet, sheet.noise.ragged, layer.u, layer.v) + 0.4 * layer.weakness - sheet.uniform(1.2, 2.6)
    return blend(albedo, under * (1 + 0.05 * spread(sheet, sheet.noise.grain)), step(gone, 0.08))


_UNDER = [colours.PRIMER, colours.GREY, colours.GREY, colours.PALE]


def _dirty(sheet: Sheet, layer: Layer, albedo: np.ndarray) -> np.ndarray:
    """Dust, soot or algae: smooth, gathered at joints, drawn out downwards on upright parts."""
    u, v = (2 * layer.u, 0.5 * layer.v) if layer.upright else (layer.u, layer.v)
    field = sheet.noise.ragged if sheet.bernoulli(0.6) else sheet.noise.broad
    amount = soft_lookup(sheet, field, u, v) + 0.4 * layer.weakness - sheet.uniform(-0.5, 1.2)
    glaze = colours.colour_of(sheet, colours.DIRT_STAINS)
    return tint(albedo, glaze, sheet.uniform(0.2, 0.95) * step(amount, sheet.uniform(0.8, 3.0)))


def _rust_stained(sheet: Sheet, layer: Layer, albedo: np.ndarray) -> np.ndarray:
    """Rusty water that came from elsewhere: colour without texture."""
    u, v = (3 * layer.u, 0.3 * layer.v) if layer.upright else (layer.u, layer.v)
    amount = soft_lookup(sheet, sheet.noise.broad, u, v) - sheet.uniform(0.2, 1.2)
    glaze = colours.colour_of(sheet, colours.RUST_STAINS)
    return tint(albedo, glaze, sheet.uniform(0.2, 0.85) * step(amount, sheet.uniform(0.6, 2.0)))


def _wet(sheet: Sheet, layer: Layer, albedo: np.ndarray) -> np.ndarray:
    """A wet patch: darker and fuller in colour, with a clear outline."""
    u, v = (1.5 * layer.u, 0.5 * layer.v) if layer.upright else (layer.u, layer.v)
    wet = step(soft_lookup(sheet, sheet.noise.broad, u, v) - sheet.uniform(0.4, 1.4), 0.12)
    return albedo * (1 - wet * (sheet.uniform(0.3, 0.6) + 0.1 * (1 - albedo)))


def _scratched(sheet: Sheet, layer: Layer, albedo: np.ndarray) -> np.ndarray:
    """Scratches, cracks or scribbles: thin lines, dark or pale."""
    scale = np.float32(sheet.uniform(0.5, 1.5))
    line = np.abs(soft_lookup(sheet, sheet.noise.broad, scale * layer.u, scale * layer.v) - sheet.uniform(-1, 1))
    colour = colours.colour_of(sheet, colours.BLACK if sheet.bernoulli(0.7) else colours.PALE)
    return blend(albedo, colour, sheet.uniform(0.3, 0.9) * step(sheet.uniform(0.005, 0.03) - line, 0.03))
