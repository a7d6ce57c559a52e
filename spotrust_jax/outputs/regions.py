"""Connected corroded regions of a photograph, found window by window: their pixels, sizes, places and mean maps.

region_tables.py writes them for other programs.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spotrust_jax.io.streamed_files import windows

MapRows = Callable[[str, slice], Float32[np.ndarray, "rows width"]]
"""Gives some rows of a map, by its name, at the photograph's size."""


class Regions(NamedTuple):
    """Corroded pixels that touch along a side, the largest region first.

    Attributes:
        labels: 0 outside, 1 in the first region, 2 in the second ...; may lie on disk.
        areas: pixels of each.
        boxes: first row, first column, row after the last and column after the last of each.
        mean_probability, mean_epistemic: means over the pixels of each.
    """

    labels: Int32[np.ndarray, "height width"]
    areas: Int64[np.ndarray, "regions"]
    boxes: Int64[np.ndarray, "regions 4"]
    mean_probability: Float64[np.ndarray, "regions"]
    mean_epistemic: Float64[np.ndarray, "regions"]


class _Parts(NamedTuple):
    """The same of regions as single windows see them, with sums instead of means."""

    areas: np.ndarray
    boxes: np.ndarray
    probability: np.ndarray
    epistemic: np.ndarray


def find_regions(
    rows: MapRows,
    labels: Int32[np.ndarray, "height width"],
    threshold: float,
    *,
    smallest: int = 1,
) -> Regions:
    """Regions of at least `smallest` pixels whose probability reaches the threshold.

    Args:
        rows: gives the maps "probability" and "epistemic".
        labels: zeros of the photograph's size, in memory or on disk, that the result's are written into.
        threshold: from which a pixel counts as corrosion.
        smallest: pixels; smaller regions are left out.
    """
    height, width = labels.shape
    parts, seams, count = [], [], 0
    for window in windows(height, width):
        probability = rows("probability", window)
        here, found = cast(tuple[np.ndarray, int], ndimage.label(probability >= threshold))
        parts.append(_parts_of(here, found, window.start, probability, rows("epistemic", window)))
        here[here > 0] += count
        if window.start:
            seams.append(_seam(labels[window.start - 1], here[0]))
        labels[window] = here
        count += found
    joined, numbers = _joined(_Parts(*map(np.concatenate, zip(*parts, strict=True))), seams, smallest)
    for window in windows(height, width):
        labels[window] = numbers[labels[window]]
    means = joined.probability / joined.areas, joined.epistemic / joined.areas
    return Regions(labels, joined.areas, joined.boxes, *means)


def label_places(regions: Regions, most: int) -> list[tuple[int, int]]:
    """A row and a column within each region, the first `most` of them, where its number can stand.

    It is the middle of the region's longest run in the middle row of its box; connected regions have pixels there.
    """
    places = []
    for number, (top, left, bottom, right) in enumerate(regions.boxes[:most].tolist(), 1):
        row = (top + bottom) // 2
        inside = np.concatenate([[False], regions.labels[row, left:right] == number, [False]])
        starts, stops = np.flatnonzero(np.diff(inside.astype(np.int8))).reshape(-1, 2).T
        longest = np.argmax(stops - starts)
        places.append((row, left + int(starts[longest] + stops[longest] - 1) // 2))
    return places


def _parts_of(here: np.ndarray, found: int, top: int, probability: np.ndarray, epistemic: np.ndarray) -> _Parts:
    flat = here.ravel()
    sums = [np.bincount(flat, values.ravel(), found + 1)[1:] for values in (probability, epistemic)]
    boxes = [(r.start + top, c.start, r.stop + top, c.stop) for r, c in ndimage.find_objects(here)]
    areas = np.bincount(flat, minlength=found + 1)[1:].astype(np.int64)
    return _Parts(areas, np.array(boxes, np.int64).reshape(-1, 4), *sums)


def _seam(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Pairs of labels that touch between two windows, counted from 0."""
    touching = (above > 0) & (below > 0)
    return np.unique(np.stack([above[touching], below[touching]], axis=1), axis=0) - 1


def _joined(parts: _Parts, seams: list[np.ndarray], smallest: int) -> tuple[_Parts, np.ndarray]:
    """Parts put together across windows and sorted by size, and the new number of each old label."""
    count = len(parts.areas)
    pairs = np.concatenate([*seams, np.zeros((0, 2), np.int64)]).astype(np.int64)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    total, group = connected_components(graph, directed=False) if count else (0, np.zeros(0, np.int64))
    areas, probability, epistemic = (
        np.bincount(group, values, total) for values in (parts.areas, parts.probability, parts.epistemic)
    )
    boxes = np.concatenate([np.full((total, 2), np.iinfo(np.int64).max), np.zeros((total, 2), np.int64)], axis=1)
    np.minimum.at(boxes[:, :2], group, parts.boxes[:, :2])
    np.maximum.at(boxes[:, 2:], group, parts.boxes[:, 2:])
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] >= smallest]
    number = np.zeros(total, np.int32)
    number[order] = np.arange(1, len(order) + 1)
    new = np.concatenate([np.zeros(1, np.int32), number[group]])
    return _Parts(areas[order].astype(np.int64), boxes[order], probability[order], epistemic[order]), new
