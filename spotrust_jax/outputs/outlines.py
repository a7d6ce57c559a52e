"""Outlines and run lengths of labelled regions, exact to the pixel, for all regions of a photograph at once."""

import itertools
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float64, Int32, Int64
from pycocotools import mask as coco_mask

from spotrust_jax.io.streamed_files import windows

Ring = Float64[np.ndarray, "_ 2"]
"""Corners x, y in pixels from the photograph's upper left corner; the last is joined to the first."""


class Outline(NamedTuple):
    """A region's border along the sides of its pixels, each ring clockwise as a person sees it.

    Attributes:
        exterior: its outer ring.
        holes: the rings of the holes in it; they may touch the outer ring or each other in single points.
    """

    exterior: Ring
    holes: tuple[Ring, ...]


class _Corners(NamedTuple):
    """Where a border turns.

    Attributes:
        row, column: of the point between pixels.
        right, down: whether the two sides that meet here lie to the right of it and below it, else left and above.
        label: of the region.
        inner: whether the one pixel between the two sides is the region's (it sticks out), else it is a notch.
    """

    row: np.ndarray
    column: np.ndarray
    right: np.ndarray
    down: np.ndarray
    label: np.ndarray
    inner: np.ndarray


def outlines(labels: Int32[np.ndarray, "height width"], count: int, *, inset: float = 0.0) -> list[Outline]:
    """The border of each region; regions are what `find_regions` gives, pixels that touch along a side.

    Args:
        labels: 0 outside, else the region's number from 1 to `count`.
        count: how many regions there are.
        inset: pixels by which the border is moved into the region, such as 1/2 to run through the outermost pixels.
    """
    corners = _corners(labels)
    x, y = (
        place + inset * np.where(side == corners.inner, 1.0, -1.0)
        for place, side in ((corners.column, corners.right), (corners.row, corners.down))
    )
    points = np.stack([x, y], axis=1)
    rings: list[list[Ring]] = [[] for _ in range(count)]
    owner = corners.label.tolist()
    for ring in _traced(corners):
        rings[owner[ring[0]] - 1].append(points[ring])
    # The first corner from above is never a hole's.
    return [Outline(exterior, tuple(holes)) for exterior, *holes in rings]


def run_lengths(labels: Int32[np.ndarray, "height width"], count: int) -> list[str]:
    """Each region as COCO's compressed run lengths over the whole photograph."""
    if not count:
        return []
    height, width = labels.shape
    runs = [_column_runs(labels[:, columns], columns.start * height) for columns in windows(width, height)]
    start, end, label = (np.concatenate(part) for part in zip(*runs, strict=True))
    order = np.argsort(label, kind="stable")
    start, end, label = start[order], end[order], label[order]
    # What goes on from the foot of a column at the head of the next is one run.
    broken = (start[1:] != end[:-1]) | (label[1:] != label[:-1])
    first, last = np.append(True, broken), np.append(broken, True)
    start, end, label = start[first], end[last], label[first]
    bounds = np.searchsorted(label, np.arange(1, count + 2)).tolist()
    return [_compressed(start[a:b], end[a:b], height, width) for a, b in itertools.pairwise(bounds)]


def _corners(labels: np.ndarray) -> _Corners:
    """Row by row; along a row sides begin and end by turns."""
    height, width = labels.shape
    parts = []
    for window in windows(height, width):
        above = max(0, window.start - 1)
        band = np.pad(labels[above : window.stop], ((window.start == 0, window.stop == height), (1, 1)))
        parts.append(_corners_between(band, window.start))
    corners = _Corners(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.lexsort((corners.right, corners.column, corners.row))
    return _Corners(*(part[order] for part in corners))


def _corners_between(band: np.ndarray, top: int) -> _Corners:
    """Corners between neighbouring rows of a band, whose first pair of rows meets at row `top`."""
    # The four pixels around each point: above left, above right, below left, below right.
    around = np.stack([band[:-1, :-1], band[:-1, 1:], band[1:, :-1], band[1:, 1:]])
    inside = around > 0
    number = inside.sum(axis=0)
    diagonal = (number == 2) & (inside[0] == inside[3])
    both = np.where(inside[0], around[0] == around[3], around[1] == around[2])
    found = []
    for quadrant, (down, right) in enumerate(itertools.product((False, True), repeat=2)):
        mine = inside[quadrant]
        # Where a region meets itself in a point, its rings part there, around the pixels outside; where two regions
        # meet, each keeps its own.
        sticks_out = mine & ((number == 1) | (diagonal & ~both))
        notch = ~mine & ((number == 3) | (diagonal & both))
        for place, inner in ((sticks_out, True), (notch, False)):
            row, column = np.nonzero(place)
            label = around[:, row, column].max(axis=0) if not inner else around[quadrant, row, column]
            same = np.ones(len(row), bool)
            found.append(_Corners(row + top, column, same & right, same & down, label, same & inner))
    return _Corners(*map(np.concatenate, zip(*found, strict=True)))


def _traced(corners: _Corners) -> list[list[int]]:
    """Rings as indices of corners, going along a row and along a column in turn, each from its first corner."""
    count = len(corners.row)
    order = np.lexsort((corners.down, corners.row, corners.column))
    partner = np.empty(count, np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    along_column = partner.tolist()
    seen, rings = bytearray(count), []
    for first in range(count):
        if seen[first]:
            continue
        ring, corner = [], first
        while not seen[corner]:
            other = corner ^ 1
            ring += [corner, other]
            seen[corner] = seen[other] = 1
            corner = along_column[other]
        rings.append(ring)
    return rings


def _column_runs(
    strip: Int32[np.ndarray, "height columns"], offset: int
) -> tuple[Int64[np.ndarray, "runs"], Int64[np.ndarray, "runs"], Int32[np.ndarray, "runs"]]:
    """First place, place after the last, and label of the runs in some columns, counted column by column."""
    columns = np.pad(strip.T, ((0, 0), (1, 1)))
    # Regions never touch along a side, so that in a column runs begin and end by turns.
    column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
    place = offset + column * strip.shape[0] + row
    return place[0::2], place[1::2], strip[row[0::2], column[0::2]]


def _compressed(start: np.ndarray, end: np.ndarray, height: int, width: int) -> str:
    """Lengths of background and region by turns."""
    places = np.empty(2 * len(start) + 2, np.int64)
    places[0], places[1:-1:2], places[2:-1:2], places[-1] = 0, start, end, height * width
    counts = (places[1:] - places[:-1]).tolist()
    if counts[-1] == 0:
        counts.pop()
    encoded = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return cast(bytes, encoded["counts"]).decode("ascii")
