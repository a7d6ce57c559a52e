"""The sheet that a scene is drawn on: randomness, pixel coordinates, and fields of noise that everything on it shares.

Also the few operations that all drawing is made of; nothing here knows what is drawn.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

# Python's floats and ints as well as float32, which numpy's rules keep apart.
Number = float | int | np.floating


class Noise(NamedTuple):
    """Periodic fields [n, n] of unit variance, n a power of two not below the image's side."""

    broad: np.ndarray  # few large shapes with fairly smooth outlines
    ragged: np.ndarray  # shapes of all sizes with torn outlines
    spots: np.ndarray  # round shapes of one size, about 24 across the field
    grain: np.ndarray  # nothing but fine detail


class Sheet(NamedTuple):
    """What every drawing function needs. Coordinates are in image sides, zero at the centre, y pointing down."""

    rng: np.random.Generator
    x: np.ndarray  # [size, size], float32, in (-0.5, 0.5)
    y: np.ndarray
    noise: Noise

    @property
    def size(self) -> int:
        """Side of the image in pixels."""
        return len(self.x)

    def bernoulli(self, probability: Number) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def uniform(self, low: Number, high: Number) -> float:
        """A number, all of the range alike."""
        return float(self.rng.uniform(low, high))

    def choose(self, shares: dict):
        """One of the keys, in proportion to its share."""
        edges = np.cumsum(list(shares.values()))
        return list(shares)[int(np.searchsorted(edges, self.rng.random() * edges[-1], side="right"))]


def blank_sheet(rng: np.random.Generator, size: int) -> Sheet:
    """A sheet with its own noise."""
    line = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return Sheet(rng, x, y, _draw_noise(rng, max(128, 1 << (size - 1).bit_length())))


def _draw_noise(rng: np.random.Generator, n: int) -> Noise:
    spectrum = np.fft.rfft2(rng.standard_normal((n, n), np.float32))
    fields = (np.fft.irfft2(spectrum * shape, (n, n)) for shape in _spectra(n))
    return Noise(*((field / field.std()).astype(np.float32) for field in fields))


@cache
def _spectra(n: int) -> tuple[np.ndarray, ...]:
    """Amplitude of each frequency for each field; from 1.5 cycles an image, so that no field is a mere slope."""
    frequency = np.hypot(np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)[None, :]).astype(np.float32)
    frequency[0, 0] = np.inf
    low = 1 / (1 + (1.5 / frequency) ** 4)
    spots = np.exp(-(((frequency - 24) / 7) ** 2))
    spots[0, 0] = 0
    return low * frequency**-2.3, low * frequency**-1.5, spots, frequency**-0.35 / (1 + (24 / frequency) ** 4)


def spread(sheet: Sheet, field: np.ndarray) -> np.ndarray:
    """The field over the image from a random place on, one period about an image: [size, size]."""
    row, column = sheet.rng.integers(len(field), size=2)
    return np.roll(field, (row, column), (0, 1))[: sheet.size, : sheet.size]


def lookup(sheet: Sheet, field: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The field at u, v in periods from a random place on, interpolated linearly: the shape of u."""
    n = len(field)
    start = sheet.rng.random(2) + 64  # far from zero, where rounding down and cutting off are not the same
    x, y = u * np.float32(n) + np.float32(start[0] * n), v * np.float32(n) + np.float32(start[1] * n)
    column, row = x.astype(np.int64), y.astype(np.int64)
    x -= column.astype(np.float32)
    y -= row.astype(np.float32)
    framed = np.pad(field, ((0, 1), (0, 1)), mode="wrap").ravel()
    corner = (row & (n - 1)) * (n + 1) + (column & (n - 1))
    left, right, below, last = (np.take(framed[k:], corner, mode="clip") for k in (0, 1, n + 1, n + 2))
    right -= left
    last -= below
    left += x * right
    below += x * last
    return left + y * (below - left)


def soft_lookup(sheet: Sheet, field: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The same from every other pixel, for what has soft outlines: a third of the time."""
    coarse = lookup(sheet, field, u[::2, ::2], v[::2, ::2])
    return _between_rows(_between_rows(coarse, len(u)).T, u.shape[1]).T


def _between_rows(coarse: np.ndarray, size: int) -> np.ndarray:
    """Twice as many rows, or one less than that, with the mean of two neighbours between them."""
    fine = np.repeat(coarse, 2, axis=0)
    fine[1:-1:2] += coarse[1:]
    fine[1:-1:2] *= np.float32(0.5)
    return fine[:size]


def step(distance: np.ndarray | Number, width: np.ndarray | Number) -> np.ndarray:
    """0 to 1 over `width` around distance zero, smoothly."""
    t = np.clip(distance / width + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def blend(below: np.ndarray, above: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """`above` [3, height, width] or a colour [3, 1, 1] over `below`, as far as `coverage` [height, width] says."""
    change = above - below
    change *= coverage  # in place: these pictures are large, and memory is what takes the time
    change += below
    return change


def tint(picture: np.ndarray, colour: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """`picture` as seen through a glaze of `colour`: what is pale takes its colour, what is dark stays dark."""
    glaze = amount * (colour - 1)
    glaze += 1
    glaze *= picture
    return glaze


def soften(picture: np.ndarray, amount: Number) -> np.ndarray:
    """Three-pixel blur of the last two axes; `amount` from 0 to 1 is how much of it."""
    side = np.float32(amount / 4)
    for axis in (-1, -2):
        whole = np.swapaxes(picture, axis, -1)
        picture = (1 - 2 * side) * picture
        soft = np.swapaxes(picture, axis, -1)
        soft[..., 1:] += side * whole[..., :-1]
        soft[..., :-1] += side * whole[..., 1:]
        soft[..., [0, -1]] += side * whole[..., [0, -1]]  # beyond the edge it goes on as at the edge
    return picture
