"""Overlapping tiles of one shape over a photograph, and the smooth blending of their maps.

analysis.py makes the maps of each tile.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.inference.maps import Combination
from spotrust_jax.inference.prediction import MAPS, Prediction
from spotrust_jax.io.streamed_files import row_windows
from spotrust_jax.models.hrnet import COARSEST_CELL

# Rows that are worked on at once where a map lies on disk.
_ROWS = 256


class Axis(NamedTuple):
    """Tiles along one side of a photograph.

    Attributes:
        length: pixels of the photograph's side.
        side: pixels of a tile's side.
        starts: first pixel of each tile.
        weights: what each tile counts at each of its pixels; at each pixel of the photograph they sum to one.
        earlier: sum of the weights of the tiles before this one at each of its pixels.
    """

    length: int
    side: int
    starts: tuple[int, ...]
    weights: Float32[np.ndarray, "tiles side"]
    earlier: Float32[np.ndarray, "tiles side"]


class Tile(NamedTuple):
    """One tile: its number in reading order, and its places along both sides."""

    number: int
    row: int
    column: int


class Tiling(NamedTuple):
    """Tiles over a photograph."""

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of every tile."""
        return self.rows.side, self.columns.side

    def tiles(self) -> Iterator[Tile]:
        """All tiles in reading order."""
        places = itertools.product(range(len(self.rows.starts)), range(len(self.columns.starts)))
        return (Tile(number, row, column) for number, (row, column) in enumerate(places))

    def pixel_weights(self, tile: Tile) -> Float32[np.ndarray, "height width"]:
        """What the pixels of a tile count; those of all tiles add up to one at each pixel of the photograph."""
        return self.rows.weights[tile.row][:, None] * self.columns.weights[tile.column][None]

    def window(self, tile: Tile) -> tuple[slice, slice]:
        """Rows and columns of the photograph that a tile covers."""
        top, left = self.rows.starts[tile.row], self.columns.starts[tile.column]
        return slice(top, top + self.rows.side), slice(left, left + self.columns.side)


def plan_tiles(height: int, width: int, tile_size: int, overlap: int) -> Tiling:
    """Tiles with sides up to `tile_size` of which neighbours share `overlap` pixels, both multiples of 32.

    There are as few as possible, and their sides are as short as their number allows, so that the work grows with the
    photograph's pixels. All lie on the grid of the network's coarsest cells but for the last ones, which end where the
    photograph does. Where one tile covers a side it has that side's own length.
    """
    return Tiling(_plan_axis(height, tile_size, overlap), _plan_axis(width, tile_size, overlap))


def _plan_axis(length: int, tile_size: int, overlap: int) -> Axis:
    if length <= tile_size:
        return Axis(length, length, (0,), np.ones((1, length), np.float32), np.zeros((1, length), np.float32))
    fewest = -(-(length - overlap) // (tile_size - overlap))
    step = -(-(length - overlap) // (fewest * COARSEST_CELL)) * COARSEST_CELL
    side, count = step + overlap, -(-(length - overlap) // step)
    starts = (*range(0, (count - 1) * step, step), length - side)
    weights = _weights(length, side, starts)
    return Axis(length, side, starts, weights, _earlier(length, starts, weights))


def _weights(length: int, side: int, starts: tuple[int, ...]) -> Float32[np.ndarray, "tiles side"]:
    """Squared sines over the overlap with each neighbour, so that a tile's edge, which sees least, counts least."""
    weights = np.ones((len(starts), side))
    for number, (start, following) in enumerate(itertools.pairwise(starts)):
        overlap = start + side - following
        rise = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / overlap) ** 2
        weights[number + 1, :overlap] *= rise
        weights[number, -overlap:] *= rise[::-1]
    total = np.zeros(length)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + side] += weight
    return np.stack([w / total[s : s + side] for s, w in zip(starts, weights, strict=True)]).astype(np.float32)


def _earlier(length: int, starts: tuple[int, ...], weights: Float32[np.ndarray, "tiles side"]) -> np.ndarray:
    side, total, earlier = weights.shape[1], np.zeros(length, np.float32), []
    for start, weight in zip(starts, weights, strict=True):
        earlier.append(total[start : start + side].copy())
        total[start : start + side] += weight
    return np.stack(earlier)


Allocate = Callable[[tuple[int, int]], Float32[np.ndarray, "height width"]]


class TileBlend:
    """The maps of a photograph, to which tiles are added in reading order.

    A pixel that several tiles cover has the moments of their mixture, as `MAPS` says of each map. The sums are of
    squared differences, so that nothing cancels (West 1979), and as the tiles' weights are products of one for the row
    and one for the column, no map of weights is needed. Areas of passes, which were counted with the tiles'
    `pixel_weights`, are sums.
    """

    def __init__(self, tiling: Tiling, allocate: Allocate):
        self._tiling, self._allocate = tiling, allocate
        self._maps: Prediction | None = None

    def add(self, tile: Tile, prediction: Prediction) -> None:
        """Blends in the maps of one tile."""
        if self._maps is None:
            shape = (self._tiling.rows.length, self._tiling.columns.length)
            self._maps = prediction.map(lambda _: self._allocate(shape))
            self._maps = dataclasses.replace(self._maps, pooled_features=self._pooled(tile, prediction, None))
        else:
            self._maps = dataclasses.replace(
                self._maps,
                areas=None if prediction.areas is None else self._maps.areas + prediction.areas,
                pooled_features=self._pooled(tile, prediction, self._maps.pooled_features),
            )
        weight, earlier = self._weight(tile)
        share = weight / (weight + earlier)
        window = self._tiling.window(tile)
        difference = prediction.probability - self._maps.probability[window]
        for name in self._maps.names:
            blended, values = getattr(self._maps, name), getattr(prediction, name)
            rule = MAPS[name].tiles
            if rule is Combination.MEAN:
                blended[window] += share * (values - blended[window])
                continue
            if rule in (Combination.TOTAL, Combination.BETWEEN):
                blended[window] += earlier * share * difference**2
            if rule in (Combination.TOTAL, Combination.WITHIN):
                blended[window] += weight * values**2

    def finish(self, calibration: PlattScaling = PlattScaling()) -> Prediction:
        """The blended maps, once all tiles are in, with calibrated probability; the blend is used up."""
        maps = self._maps
        if maps is None:
            raise ValueError("no tile has been added")
        # Those that are kept as variances until now.
        stds = [name for name in maps.names if MAPS[name].tiles is not Combination.MEAN]
        for rows in row_windows(self._tiling.rows.length, _ROWS):
            for name in stds:
                variance = getattr(maps, name)
                np.sqrt(variance[rows], out=variance[rows])
            maps.probability[rows] = calibration(maps.probability[rows])
        return maps

    def _pooled(
        self, tile: Tile, prediction: Prediction, before: Float32[np.ndarray, "channels"] | None
    ) -> Float32[np.ndarray, "channels"] | None:
        """Features of the tiles so far, each by what its pixels count."""
        if prediction.pooled_features is None:
            return None
        share = self._tiling.pixel_weights(tile).mean(dtype=np.float64) * math.prod(self._tiling.shape)
        share /= self._tiling.rows.length * self._tiling.columns.length
        added = (share * prediction.pooled_features).astype(np.float32)
        return added if before is None else before + added

    def _weight(self, tile: Tile) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
        """Weights of the tile at its pixels, and of all tiles before it."""
        rows, columns = self._tiling.rows, self._tiling.columns
        earlier = rows.weights[tile.row][:, None] * columns.earlier[tile.column][None]
        return self._tiling.pixel_weights(tile), rows.earlier[tile.row][:, None] + earlier


def in_memory(shape: tuple[int, int]) -> Float32[np.ndarray, "height width"]:
    """A map of zeros."""
    return np.zeros(shape, np.float32)


def crop(image: Shaped[np.ndarray, "_ _ 3"], window: tuple[slice, slice]) -> Shaped[np.ndarray, "height width 3"]:
    """A part of a photograph, read from disk if that is where it lies."""
    return np.ascontiguousarray(image[window])
