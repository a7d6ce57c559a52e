"""Points and run lengths as pixels, by the rule of the format that they come from.

Which annotations make up a label is drawings.py's task.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from spotrust_jax.data.prepare.source import UnusableError

Polygon = Float64[np.ndarray, "_ 2"]

Fill = Callable[[Sequence[Polygon], int, int], Bool[np.ndarray, "height width"]]
"""A rule by which polygons become the pixels of an image of a height and width: `covered` or `filled`."""


_MOST_MARGINS = 4  # times height and width together: what is farther outside is cut


class RunLengths(NamedTuple):
    """COCO's run lengths, column by column, starting with background: as numbers or in COCO's compressed text."""

    height: int
    width: int
    counts: tuple[int, ...] | str


def points_of(numbers: object) -> Polygon:
    """Points from pairs or from alternating x and y; a `ValueError` where they are no finite numbers in pairs."""
    try:
        points = np.asarray(numbers, np.float64)
        points = points.reshape(-1, 2) if points.ndim == 1 else points
    except (TypeError, ValueError, OverflowError, RecursionError):
        points = np.array(np.nan)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("its coordinates are not pairs of finite numbers")
    return points.clip(-1e9, 1e9)  # outside any image, and nothing overflows


def covered(polygons: Sequence[Polygon], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels within any of the polygons as COCO's own tools draw them: a square of 3 x 3 has 9.

    A pixel belongs to a polygon where its centre does, nearly; what is thinner than a pixel may have none.
    """
    runs = [_run_lengths(polygon, height, width) for polygon in polygons]
    if not runs:
        return np.zeros((height, width), bool)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def filled(polygons: Sequence[Polygon], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels within any of the polygons as labelme draws them: a square of 3 x 3 has 16.

    By the even-odd rule within each, and with all pixels that an outline runs through.
    """
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        corners = _near(polygon, height, width)
        if len(corners) > 1:
            draw.polygon(corners.ravel().tolist(), fill=1, outline=1)
    return np.array(canvas)


def centred(polygons: Sequence[Polygon], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels whose centre is within any of the polygons: a square of 3 x 3 has 9.

    By the even-odd rule within each. Pixel (x, y) has its centre at x + 1/2, y + 1/2; a centre on an outline belongs to
    what lies to its right and below it, so that polygons that share a side share no pixel.
    """
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        turns = np.zeros((height, width + 1), bool)
        for (x, y), (x_end, y_end) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            first, last = (int(np.clip(np.ceil(value - 0.5), 0, height)) for value in sorted((y, y_end)))
            if first < last:
                rows = np.arange(first, last)
                crossed = x + (rows + 0.5 - y) / (y_end - y) * (x_end - x)
                columns = np.ceil(crossed - 0.5).clip(0, width).astype(int)
                turns[rows, columns] ^= True
        mask |= np.logical_xor.accumulate(turns, axis=1)[:, :-1]
    return mask


def crosses_itself(polygon: Polygon) -> bool:
    """Whether two sides of a polygon cross within both of them; sides that only touch do not count."""
    ends = np.roll(polygon, -1, axis=0)
    sides = ends - polygon
    for start, end in zip(polygon, ends, strict=True):
        apart = _turn(end - start, polygon - start) * _turn(end - start, ends - start) < 0
        if (apart & (_turn(sides, start - polygon) * _turn(sides, end - polygon) < 0)).any():
            return True
    return False


def _turn(one: Float64[np.ndarray, "*_ 2"], other: Float64[np.ndarray, "*_ 2"]) -> Float64[np.ndarray, "*_"]:
    """1 where `other` lies to the right of `one`, y downwards, -1 where to the left, 0 where along it."""
    return np.sign(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def centred_circle(
    centre: Float64[np.ndarray, "2"], radius: float, height: int, width: int
) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels whose centre is within a circle; `radius` is in pixels."""
    y, x = np.ogrid[:height, :width]
    return np.hypot(x + 0.5 - centre[0], y + 0.5 - centre[1]) < radius


def filled_circle(
    centre: Float64[np.ndarray, "2"], radius: float, height: int, width: int
) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels of a circle as labelme draws it, with those of its outline; `radius` is in pixels."""
    if radius > _MOST_MARGINS * (height + width):  # Pillow would go through all of its rows
        y, x = np.ogrid[:height, :width]
        return np.hypot(x - centre[0], y - centre[1]) <= radius
    canvas = Image.new("1", (width, height))
    ImageDraw.Draw(canvas).ellipse([*(centre - radius).tolist(), *(centre + radius).tolist()], fill=1, outline=1)
    return np.array(canvas)


def covers_nothing(polygon: Polygon, height: int, width: int) -> bool:
    """Whether no pixel belongs to a polygon by COCO's rule."""
    return int(coco_mask.area(_run_lengths(polygon, height, width))) == 0


def lies_outside(polygon: Polygon, height: int, width: int) -> bool:
    """Whether nothing of a polygon is inside the image."""
    return len(_cut(polygon, 0, height, width)) == 0


def area(polygon: Polygon) -> float:
    """Square pixels by the shoelace formula."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def decoded(run: RunLengths, file: str) -> Bool[np.ndarray, "height width"]:
    """The pixels of run lengths; an `UnusableError` where these are damaged."""
    counts = _counts(run.counts) if isinstance(run.counts, str) else run.counts
    # pycocotools reads memory that is not its own where these do not add up.
    if min(counts, default=-1) < 0 or sum(counts) != run.height * run.width:
        reason = f"has run lengths that do not add up to {run.width} x {run.height} pixels"
        raise UnusableError("unreadable_label", f"{file} {reason}: export the label again")
    # The stubs know no run lengths in numbers.
    plain = cast(Any, {"size": [run.height, run.width], "counts": list(counts)})
    encoded = coco_mask.frPyObjects(plain, run.height, run.width)
    return coco_mask.decode(encoded).astype(bool)


def _counts(text: str) -> list[int]:
    """COCO's compressed text: five bits a character, low ones first; from the fourth on, differences to two before."""
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (bits >> 4 & 1) << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts if shift == 0 else []


def _run_lengths(polygon: Polygon, height: int, width: int) -> Any:
    """A polygon as COCO's tools encode it."""
    corners = _near(polygon, height, width)
    if len(corners) < 3:
        return coco_mask.encode(np.zeros((height, width), np.uint8, order="F"))
    (encoded,) = coco_mask.frPyObjects([corners.ravel().tolist()], height, width)
    return encoded


def _near(polygon: Polygon, height: int, width: int) -> Polygon:
    """A polygon without what is so far outside that the drawing of it would take long, or overflow."""
    return _cut(polygon, _MOST_MARGINS * (height + width), height, width)


def _cut(polygon: Polygon, margin: int, height: int, width: int) -> Polygon:
    """What of a polygon lies in the image or not farther than `margin` from it (Sutherland and Hodgman, 1974)."""
    if (polygon >= -margin).all() and (polygon <= (width + margin, height + margin)).all():
        return polygon
    for axis, bound, sign in ((0, -margin, 1), (1, -margin, 1), (0, width + margin, -1), (1, height + margin, -1)):
        before = np.roll(polygon, 1, axis=0)
        inside = sign * (polygon[:, axis] - bound) >= 0
        crossing = inside != np.roll(inside, 1)
        step = np.where(crossing, polygon[:, axis] - before[:, axis], 1.0)
        share = (bound - before[:, axis]) / step
        crossed = before + share[:, None] * (polygon - before)
        polygon = np.stack([crossed, polygon], axis=1)[np.stack([crossing, inside], axis=1)]
    return polygon
