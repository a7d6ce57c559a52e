"""Polygons and run lengths as pixels: the one place where labels that were drawn become masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from spotrust_jax.data.source import Finding, LabelMask, UnusableError

_ROUNDING = 1.0  # pixels by which a point may lie outside without being worth a finding

Polygon = Float64[np.ndarray, "_ 2"]


class RunLengths(NamedTuple):
    """COCO's run lengths, column by column, starting with background: as numbers or in COCO's compressed text."""

    height: int
    width: int
    counts: tuple[int, ...] | str


@dataclass(frozen=True)
class PolygonLabel:
    """What is corrosion in one photograph, drawn as polygons; overlapping ones are joined.

    Points are x, y in pixels from the upper left corner, or in shares of width and height where `shares` is set.
    `size` is the height and width of the photograph that the label was drawn on, where its file says so.
    """

    file: str
    polygons: tuple[Polygon, ...]
    runs: tuple[RunLengths, ...] = ()
    shares: bool = False
    size: tuple[int, int] | None = None

    def read(self, height: int, width: int) -> LabelMask:
        """Draw it at the size of its photograph; an `UnusableError` where that is not the label's own size."""
        for size in {self.size, *(run[:2] for run in self.runs)} - {None, (height, width)}:
            sizes = f"was drawn on {size[1]} x {size[0]} pixels, its photograph has {width} x {height} as shown upright"
            remedy = "label the photograph again or replace it by the one that was labelled"
            raise UnusableError("size_mismatch", f"{self.file} {sizes} (width x height): {remedy}")
        scale = np.array([width, height] if self.shares else [1.0, 1.0])
        polygons = [polygon * scale for polygon in self.polygons]
        drawn = [polygon for polygon in polygons if len(polygon) >= 3]
        inside = [polygon for polygon in drawn if len(_cut(polygon, 0, height, width))]
        if polygons and not (inside or self.runs):
            reason = "has no polygon with three points or more inside the image"
            raise UnusableError("polygon", f"{self.file} {reason}: draw it again, or delete it where nothing is")
        mask = filled(inside, height, width)
        for run in self.runs:
            mask |= decoded(run, self.file)
        partly = sum(_reaches_out(polygon, height, width) for polygon in inside)
        problems = {
            "fewer than three points, ignored: delete or draw again": len(polygons) - len(drawn),
            f"nothing inside the image of {width} x {height}, ignored: delete or draw again": len(drawn) - len(inside),
            f"points outside the image of {width} x {height}, cut at its edge: check them": partly,
        }
        findings = [
            Finding("polygon", self.file, f"{self.file} has {count} polygon(s) with {problem}", False)
            for problem, count in problems.items()
            if count
        ]
        return LabelMask(mask, tuple(findings))


def points_of(numbers: object, file: str) -> Polygon:
    """Points from pairs or from alternating x and y; an `UnusableError` where they are no finite numbers in pairs."""
    try:
        points = np.asarray(numbers, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        points = np.array([[np.nan, np.nan]])
    if not np.isfinite(points).all():
        reason = "has a polygon whose coordinates are not pairs of finite numbers"
        raise UnusableError("unreadable_label", f"{file} {reason}: export the label again")
    return points.clip(-1e9, 1e9)  # outside any image, and nothing overflows


def filled(polygons: Sequence[Polygon], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels within any of the polygons, by the even-odd rule within each, and those that an outline runs through.

    This is how labelme fills polygons and how masks are commonly drawn from them. COCO's own rule leaves out the
    outline's pixels whose centres are outside, and with them all that is thinner than a pixel.
    """
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        # Cut outside the image, where the edges along the cut are not seen.
        corners = np.floor(_cut(polygon, 2, height, width))
        if len(corners):
            draw.polygon(corners.astype(int).ravel().tolist(), fill=1, outline=1)
    return np.array(canvas)


def decoded(run: RunLengths, file: str) -> Bool[np.ndarray, "height width"]:
    """The pixels of run lengths; an `UnusableError` where these are damaged."""
    counts = _counts(run.counts) if isinstance(run.counts, str) else run.counts
    # pycocotools reads memory that is not its own where these do not add up.
    if min(counts, default=-1) < 0 or sum(counts) != run.height * run.width:
        reason = f"has run lengths that do not add up to {run.width} x {run.height} pixels"
        raise UnusableError("unreadable_label", f"{file} {reason}: export the label again")
    encoded = coco_mask.frPyObjects({"size": [run.height, run.width], "counts": list(counts)}, run.height, run.width)
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


def _reaches_out(polygon: Polygon, height: int, width: int) -> bool:
    return bool((polygon < -_ROUNDING).any() or (polygon > np.array([width, height]) + _ROUNDING).any())


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
