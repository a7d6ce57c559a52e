"""Procedural inspection views of painted and corroded steel with exact masks: the data set that needs no download.

Drawing only, in numpy and without files; the input pipeline does the rest. Corrosion is
rough in texture and rusty in colour; smooth paint, dirt and shadow share its colours, rough cement its texture.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.example import Example
from spotrust_jax.errors import InputError


@dataclass(frozen=True)
class SceneConfig:
    """What is drawn. A version never changes its pictures: whoever changes the drawing code adds a version."""

    version: str
    # Height and width in pixels; what is drawn scales with it.
    size: int
    # Share of the scenes that are drawn without any corrosion.
    clean_share: float
    # Smallest and largest share of a corroded scene's pixels that corrosion takes, before it runs down in streaks.
    corroded_fraction: tuple[float, float]


DEMO_SCENES = SceneConfig(version="demo-1", size=128, clean_share=0.15, corroded_fraction=(0.06, 0.34))

SPLIT_SEEDS = {"train": 0, "validation": 1, "test": 2}

# Colours from 0 to 255. The second row of paints could be rust by colour alone.
_PLAIN_PAINTS = [(226, 226, 220), (168, 172, 174), (222, 208, 172), (96, 134, 108), (84, 118, 156), (128, 132, 132)]
_RUSTY_PAINTS = [(142, 66, 50), (122, 60, 48), (206, 116, 52), (186, 92, 46), (102, 66, 50), (166, 100, 66)]
_RUST = [(40, 29, 26), (80, 48, 36), (122, 65, 43), (164, 88, 48), (198, 122, 68)]  # black scale to fresh orange


class _Surface(NamedTuple):
    """The steel as built, before it corrodes and before it is lit: all maps are float32 of [height, width]."""

    albedo: np.ndarray  # [height, width, 3]
    shading: np.ndarray  # factor on the light, from the shape of the parts
    weakness: np.ndarray  # where corrosion starts, in standard deviations of the noise


@cache
def _spline(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Cubic B-spline from cells + 3 coarse values to `size` fine ones: first of four used [size], weights [4, size]."""
    position = (np.arange(size) + 0.5) / size * cells
    first = position.astype(int)
    f = position - first
    weights = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6
    return first, weights.astype(np.float32)


def _stretch(coarse: np.ndarray, size: int) -> np.ndarray:
    """Smoothly interpolated rows: [cells + 3, width] to [size, width]. Four products beat a threaded matrix product."""
    first, weights = _spline(size, len(coarse) - 3)
    return functools.reduce(np.add, (weights[k][:, None] * coarse[first + k] for k in range(4)))


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise of about unit variance with `cells` bumps down and across."""
    coarse = rng.standard_normal((cells[1] + 3, cells[0] + 3), np.float32)
    smooth = _stretch(_stretch(coarse, size).T, size)
    return (
        smooth / 0.479
    )  # its standard deviation: a spline averages normal numbers to a variance of 151 / 315 in each direction


def _fractal(rng: np.random.Generator, size: int, cells: int, octaves: int, roughness: float) -> np.ndarray:
    """Sum of noises, each twice as fine and `roughness` times as strong as the one before; about unit variance."""
    gains = roughness ** np.arange(octaves, dtype=np.float32)
    layers = [gain * _noise(rng, size, (cells << k, cells << k)) for k, gain in enumerate(gains)]
    return sum(layers) / np.sqrt(np.sum(gains**2))


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 to 1 over `width` around distance zero, smoothly."""
    t = np.clip(distance / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _blend(below: np.ndarray, above: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """`above` [height, width, 3] or [3] over `below`, as far as `coverage` [height, width] says."""
    return below + coverage[..., None] * (above - below)


def _rusty(position: np.ndarray) -> np.ndarray:
    """Colours along the rust scale, 0 near-black to 1 orange: [height, width] to [height, width, 3]."""
    scale = np.linspace(0, 1, len(_RUST))
    channels = [np.interp(position, scale, levels) / 255 for levels in zip(*_RUST, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _frame(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u, v of every pixel in a frame that is turned a little, in image sides, zero at the centre."""
    line = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    angle = rng.normal(0, 0.15)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = line[None, :], line[:, None]
    return cosine * x + sine * y, cosine * y - sine * x


def _colour(rng: np.random.Generator, paints: list[tuple[int, int, int]]) -> np.ndarray:
    """Colour [3] in [0, 1] of one of the paints, each batch a little different."""
    tint = rng.normal(1, 0.08) * rng.normal(1, 0.025, 3)
    return np.clip(np.array(paints[rng.integers(len(paints))]) / 255 * tint, 0, 1).astype(np.float32)


def _paint(rng: np.random.Generator) -> np.ndarray:
    """Colour [3] of a paint, every second time one of the rusty ones."""
    return _colour(rng, _RUSTY_PAINTS if rng.random() < 0.5 else _PLAIN_PAINTS)


def _plates(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> _Surface:
    """Up to four plates with joints between them, painted alike or not, perhaps with a painted band."""
    size, pixel = len(u), 1 / len(u)
    albedo = np.broadcast_to(_paint(rng), (size, size, 3))
    shading, weakness = np.ones_like(u), np.zeros_like(u)
    for axis in (u, v):
        if rng.random() < 0.6:
            joint = axis - rng.uniform(-0.35, 0.35)
            if rng.random() < 0.5:
                albedo = _blend(albedo, _paint(rng), _step(joint, pixel))
            groove = np.exp(-((joint / 0.008) ** 2))
            lip = np.exp(-(((joint - 0.016) / 0.008) ** 2))
            shading = shading * (1 - 0.6 * groove + 0.15 * lip)
            weakness = weakness + 1.3 * np.exp(-np.abs(joint) / 0.07)
    if rng.random() < 0.35:
        across = (u, v, u + v)[rng.integers(3)] - rng.uniform(-0.3, 0.3)
        albedo = _blend(albedo, _paint(rng), _step(rng.uniform(0.05, 0.12) - np.abs(across), pixel))
    mottle = 0.025 * _fractal(rng, size, 3, 3, 0.7) + 0.02 * _noise(rng, size, (2, 28))
    return _Surface(albedo * (1 + mottle)[..., None], shading, weakness)


def _with_bolts(rng: np.random.Generator, surface: _Surface, u: np.ndarray, v: np.ndarray) -> _Surface:
    """A row of bolts: domed heads that are lit from above left and throw a small shadow."""
    pixel, radius = 1 / len(u), rng.uniform(0.022, 0.038)
    along, across = (u, v) if rng.random() < 0.5 else (v, u)
    pitch, offset = rng.uniform(0.16, 0.3), rng.uniform(-0.4, 0.4)
    du = (along + pitch / 2) % pitch - pitch / 2
    dv = across - offset
    distance = np.hypot(du, dv)
    head = _step(radius - distance, 1.5 * pixel)
    dome = 1.0 - 0.45 * (du + dv) / radius
    shadow = np.exp(-(np.hypot(du - 0.5 * radius, dv - 0.5 * radius) ** 2) / (radius * radius))
    shading = surface.shading * (1 - 0.55 * shadow)
    weakness = surface.weakness + 1.2 * np.exp(-np.maximum(distance - radius, 0) / 0.03)
    return surface._replace(shading=shading + head * (dome - shading), weakness=weakness)


def _with_pipe(rng: np.random.Generator, surface: _Surface, u: np.ndarray, v: np.ndarray) -> _Surface:
    """A painted pipe in front of the plates, with a shadow beside it; it corrodes on its own account."""
    size, pixel = len(u), 1 / len(u)
    across = (u if rng.random() < 0.5 else v) - rng.uniform(-0.3, 0.3)
    radius = rng.uniform(0.07, 0.16)
    inside = _step(radius - np.abs(across), 1.5 * pixel)
    s = np.clip(across / radius, -1, 1)
    round_shading = 0.3 + 0.8 * np.sqrt(np.clip(1 - (s + 0.35) ** 2 / 1.9, 0, 1))
    shadow = 0.5 * _step(radius - np.abs(across - 0.6 * radius), 0.06)
    shading = surface.shading * (1 - shadow)
    return _Surface(
        albedo=_blend(surface.albedo, _paint(rng), inside),
        shading=shading + inside * (round_shading - shading),
        weakness=surface.weakness + inside * (_fractal(rng, size, 3, 2, 0.6) - surface.weakness),
    )


def _distractors(rng: np.random.Generator, albedo: np.ndarray) -> np.ndarray:
    """Primer where the paint came off, smooth dirt in all colours of rust, and rough cement in none of them."""
    size = len(albedo)
    if rng.random() < 0.45:
        bare = _fractal(rng, size, 3, 4, 0.6) - rng.uniform(0.4, 1.3)
        albedo = _blend(albedo, _colour(rng, _RUSTY_PAINTS), _step(bare, 0.06))
    if rng.random() < 0.6:
        wet = _step(_fractal(rng, size, 2, 3, 0.6) - rng.uniform(0.2, 1.2), rng.uniform(0.3, 1.2))
        tone = rng.uniform(0.15, 0.75) + 0.15 * _noise(rng, size, (3, 6))
        albedo = _blend(albedo, _rusty(tone), rng.uniform(0.75, 0.95) * _run_down(rng, wet))
    if rng.random() < 0.3:
        splash = _fractal(rng, size, 4, 4, 0.7) - rng.uniform(1.0, 1.7)
        grey = 0.6 + 0.09 * _fractal(rng, size, 16, 3, 1.0)
        albedo = _blend(albedo, grey[..., None] * np.array([1.0, 0.98, 0.93], np.float32), _step(splash, 0.3))
    return albedo


def _run_down(rng: np.random.Generator, strength: np.ndarray) -> np.ndarray:
    """What also runs down the picture, in each column as far as it happens to, and fades on the way."""
    size = len(strength)
    length = np.exp(1.1 * _noise(rng, size, (1, 26))[0] - 3.5) * size
    keep = np.exp(-1 / np.maximum(length, 0.3))
    rows = [strength[0]]
    for row in strength[1:]:
        rows.append(np.maximum(row, rows[-1] * keep))
    return np.stack(rows)


def _corrosion(rng: np.random.Generator, weakness: np.ndarray, fraction: float) -> np.ndarray:
    """Strength of the attack in [0, 1]: corroded from one half up, a rusty stain on sound paint below."""
    size = len(weakness)
    attack = _fractal(rng, size, 3, 4, 0.55) + weakness
    if rng.random() < 0.3:  # pits
        attack = attack + np.maximum(_noise(rng, size, (18, 18)) - 0.8, 0)
    return _run_down(rng, _step(attack - np.quantile(attack, 1 - fraction), 2.0))


def _corroded(rng: np.random.Generator, surface: _Surface, strength: np.ndarray) -> tuple[_Surface, np.ndarray]:
    """The surface with stains, rust (darker at its core) and the edge of the broken paint; the coverage in [0, 1]."""
    size = len(strength)
    coverage = _step(strength - 0.5, 0.08)
    rough = _fractal(rng, size, 8, 4, 1.05)
    tone = rng.uniform(0.5, 0.75) + 0.1 * _noise(rng, size, (4, 4))
    stained = _blend(surface.albedo, _rusty(tone), 0.8 * _step(strength - 0.36, 0.32))
    rust = _rusty(tone - 0.5 * (strength - 0.5) + 0.17 * rough)
    relief = np.clip(0.16 * (rough - np.roll(rough, (1, 1), axis=(0, 1))), -0.4, 0.4)
    edge = 4 * coverage * (1 - coverage)
    shading = surface.shading * (1 - 0.2 * edge) * (1 + coverage * relief)
    return surface._replace(albedo=_blend(stained, rust, coverage), shading=shading), coverage


def _light(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Light on every pixel [height, width, 3]: a gradient, perhaps a cast shadow, and the lamp's colour."""
    slope = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
    light = rng.uniform(0.85, 1.15) * (1 + slope[0] * u + slope[1] * v)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        across = np.float32(np.cos(angle)) * u + np.float32(np.sin(angle)) * v
        bar = rng.uniform(0.08, 0.5) - np.abs(across - rng.uniform(0, 0.5))
        light = light * (1 - rng.uniform(0.25, 0.55) * _step(bar, rng.uniform(0.01, 0.08)))
    return light[..., None] * rng.normal(1, 0.025, 3).astype(np.float32)


def _photograph(rng: np.random.Generator, radiance: np.ndarray) -> np.ndarray:
    """What a camera makes of it: a slight blur, sensor noise, eight bits."""
    soft = rng.uniform(0.0, 0.25)
    wide = np.pad(radiance, ((1, 1), (1, 1), (0, 0)), mode="edge")
    tall = (1 - 2 * soft) * wide[:, 1:-1] + soft * (wide[:, :-2] + wide[:, 2:])
    radiance = (1 - 2 * soft) * tall[1:-1] + soft * (tall[:-2] + tall[2:])
    noise = rng.uniform(0.008, 0.022) * rng.standard_normal(radiance.shape, np.float32)
    return np.clip(np.rint(255 * (radiance + noise)), 0, 255).astype(np.uint8)


def draw_scene(
    config: SceneConfig, seed: int, index: int
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Image and mask (true where corroded) of one scene, determined by version, seed and index alone."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([*config.version.encode(), seed, index])))
    u, v = _frame(rng, config.size)
    surface = _plates(rng, u, v)
    if rng.random() < 0.45:
        surface = _with_bolts(rng, surface, u, v)
    if rng.random() < 0.4:
        surface = _with_pipe(rng, surface, u, v)
    surface = surface._replace(albedo=_distractors(rng, surface.albedo))
    coverage = np.zeros_like(u)
    if rng.random() >= config.clean_share:
        strength = _corrosion(rng, surface.weakness, rng.uniform(*config.corroded_fraction))
        surface, coverage = _corroded(rng, surface, strength)
    image = _photograph(rng, surface.albedo * surface.shading[..., None] * _light(rng, u, v))
    return image, coverage >= 0.5


class SceneDataset:
    """Scenes `train_0000`, `train_0001`, ... of one split, each its own group; drawn when first asked for, then kept.

    The first scenes of a split are the same whatever the count.

    Raises:
        InputError: for another split than train, validation and test, or a count below one.
    """

    def __init__(self, config: SceneConfig, split: str, count: int):
        if split not in SPLIT_SEEDS:
            raise InputError(f"scenes have no split {split!r}: choose one of {', '.join(SPLIT_SEEDS)}")
        if count < 1:
            raise InputError(f"{count} scenes were asked for in split {split}: give a count of at least 1")
        self.names = tuple(f"{split}_{index:04d}" for index in range(count))
        self._config = config
        self._seed = SPLIT_SEEDS[split]
        self._drawn: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        index = range(len(self))[index]
        if index not in self._drawn:
            image, mask = draw_scene(self._config, self._seed, index)
            image.setflags(write=False)  # kept and handed out again, so nobody may change them
            mask.setflags(write=False)
            self._drawn[index] = Example(self.names[index], image, mask, self.names[index])
        return self._drawn[index]

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))
