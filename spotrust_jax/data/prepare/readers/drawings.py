"""Labels that were drawn, as polygons or otherwise: the annotations of one photograph become its mask here.

polygons.py turns single shapes into pixels.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from spotrust_jax.data.prepare.readers.classes import ClassLabel
from spotrust_jax.data.prepare.readers.embedded import embedded_mask, painted
from spotrust_jax.data.prepare.readers.polygons import (
    Fill,
    Polygon,
    RunLengths,
    area,
    covered,
    covers_nothing,
    decoded,
    filled_circle,
    lies_outside,
    points_of,
)
from spotrust_jax.data.prepare.source import ClassPixels, Finding, FindingKind, LabelMask, UnusableError

UNLABELLED = "without a label"

_CORNERS = 180  # a polygon of so many corners is within 0.02% of an ellipse's radius

_SLIVER = 2.0  # square pixels below which a polygon may have no pixel without being worth a finding

_ROUNDING = 1.0  # pixels by which a point may lie outside without being worth a finding


class DrawnPolygon(NamedTuple):
    """A polygon whose points are x, y in pixels, or in shares of width and height where `shares` is set."""

    points: Polygon
    fill: Fill = covered
    shares: bool = False

    def at(self, height: int, width: int) -> Polygon:
        """The points in pixels."""
        return self.points * np.array([width, height]) if self.shares else self.points


class Circle(NamedTuple):
    """labelme's circle."""

    centre: Float64[np.ndarray, "2"]
    radius: float


class Patch(NamedTuple):
    """labelme's mask: a picture of `height` and `width`, whose upper left pixel is `left`, `top` of the photograph."""

    left: int
    top: int
    height: int
    width: int
    # The picture's file, as base64.
    encoded: str


class Brush(NamedTuple):
    """What a brush of Label Studio painted on a photograph of `height` and `width`, in its run lengths."""

    height: int
    width: int
    runs: bytes


class Undrawable(NamedTuple):
    """An annotation that has no area or cannot be understood, and why."""

    kind: FindingKind
    reason: str


Drawing = DrawnPolygon | Circle | Patch | Brush | RunLengths | Undrawable


def outline_of(numbers: object, fill: Fill = covered, *, shares: bool = False) -> DrawnPolygon | Undrawable:
    """A polygon from pairs, or from alternating x and y."""
    try:
        return DrawnPolygon(points_of(numbers), fill, shares)
    except ValueError as error:
        return Undrawable("unreadable_label", f"has a polygon that cannot be drawn ({error}): export the label again")


def rectangle(left: float, top: float, width: float, height: float, turn: float = 0.0) -> DrawnPolygon | Undrawable:
    """A rectangle in pixels, turned clockwise around its upper left corner, in radians."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return outline_of(_turned(corners, turn) + np.array([left, top]))


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> DrawnPolygon | Undrawable:
    """An ellipse in pixels from its centre and its two radii, turned clockwise, in radians."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    points = np.stack([across * np.cos(angles), down * np.sin(angles)], axis=1)
    return outline_of(_turned(points, turn) + np.array([x, y]))


def _turned(points: Polygon, turn: float) -> Polygon:
    return points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])


class Annotation(NamedTuple):
    """What was drawn, and the classes that it was given."""

    labels: tuple[ClassLabel, ...]
    drawing: Drawing


@dataclass(frozen=True)
class DrawnLabel:
    """The annotations of one photograph, of which those of the `corrosion` classes are joined; others are background.

    `file` is named in findings. `size` is the height and width of the photograph that the label was drawn on, where its
    file says so. `existing` are the source's classes.
    """

    file: str
    annotations: tuple[Annotation, ...]
    existing: tuple[ClassLabel, ...]
    corrosion: frozenset[ClassLabel]
    size: tuple[int, int] | None = None

    def read(self, height: int, width: int) -> LabelMask:
        """Draw it at the size of its photograph.

        An `UnusableError` says where that is not the label's own size, or an annotation of corrosion cannot be drawn.
        """
        if self.size not in (None, (height, width)):
            raise _other_size(self.file, self.size, (height, width))
        corroded = [each.drawing for each in self.annotations if self.corrosion.intersection(each.labels)]
        findings = self._problems(corroded, height, width)
        mask, labelled, counts = np.zeros((height, width), bool), np.zeros((height, width), bool), []
        for label in self.existing:
            drawings = [each.drawing for each in self.annotations if label in each.labels]
            taken_as = "corrosion" if label in self.corrosion else "background"
            if not drawings:
                counts.append(ClassPixels(str(label), taken_as, 0))
                continue
            join = _joined if taken_as == "corrosion" else _drawable
            pixels = join(drawings, height, width, self.file)
            if taken_as == "corrosion":
                mask |= pixels
            labelled |= pixels
            counts.append(ClassPixels(str(label), taken_as, int(np.count_nonzero(pixels))))
        if not mask.any() and any(isinstance(drawing, DrawnPolygon | Circle) for drawing in corroded):
            reason = f"has corrosion that covers no pixel of {width} x {height}"
            raise UnusableError("polygon", f"{self.file} {reason}: draw it again, or delete it where nothing is")
        counts.append(ClassPixels(UNLABELLED, "background", int(np.count_nonzero(~labelled))))
        return LabelMask(mask, tuple(findings), classes=tuple(counts))

    def _problems(self, drawings: Sequence[Drawing], height: int, width: int) -> list[Finding]:
        """What is wrong with annotations that are drawn all the same; an `UnusableError` where one cannot be."""
        shapes = [drawing for drawing in drawings if isinstance(drawing, DrawnPolygon)]
        polygons = [shape.at(height, width) for shape in shapes]
        image = f"the image of {width} x {height}"
        lost = {
            "fewer than three points": sum(len(polygon) < 3 for polygon in polygons),
            f"nothing inside {image}": sum(
                len(polygon) >= 3 and lies_outside(polygon, height, width) for polygon in polygons
            ),
        }
        for problem, count in lost.items():
            if count:
                reason = f"has {count} polygon(s) with {problem}"
                raise UnusableError("polygon", f"{self.file} {reason}: draw again, or delete where nothing is")
        kept = {
            f"points outside {image}, cut at its edge: check them": sum(
                _reaches_out(polygon, height, width) for polygon in polygons
            ),
            "no pixel, as they are too thin: draw them wider": sum(
                shape.fill is covered and area(polygon) >= _SLIVER and covers_nothing(polygon, height, width)
                for shape, polygon in zip(shapes, polygons, strict=True)
            ),
        }
        return [
            Finding("polygon", self.file, f"{self.file} has {count} polygon(s) with {problem}", False)
            for problem, count in kept.items()
            if count
        ]


def _drawable(drawings: Sequence[Drawing], height: int, width: int, file: str) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels of those drawings of background that can be drawn; the others are background as well."""
    with contextlib.suppress(UnusableError):
        return _joined(drawings, height, width, file)
    mask = np.zeros((height, width), bool)
    for drawing in drawings:
        with contextlib.suppress(UnusableError):
            mask |= _joined([drawing], height, width, file)
    return mask


def _joined(drawings: Sequence[Drawing], height: int, width: int, file: str) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels of any of the drawings; an `UnusableError` where one cannot be drawn."""
    mask = np.zeros((height, width), bool)
    shapes = [drawing for drawing in drawings if isinstance(drawing, DrawnPolygon)]
    for fill in dict.fromkeys(shape.fill for shape in shapes):
        mask |= fill([shape.at(height, width) for shape in shapes if shape.fill is fill], height, width)
    for drawing in drawings:
        match drawing:
            case Undrawable(kind, reason):
                raise UnusableError(kind, f"{file} {reason}")
            case Circle(centre, radius):
                mask |= filled_circle(centre, radius, height, width)
            case Patch():
                _put(mask, drawing, file)
            case RunLengths() | Brush():
                if drawing[:2] != (height, width):
                    raise _other_size(file, drawing[:2], (height, width))
                is_painted = isinstance(drawing, Brush)
                mask |= painted(drawing.runs, height, width, file) if is_painted else decoded(drawing, file)
    return mask


def _put(mask: Bool[np.ndarray, "_ _"], patch: Patch, file: str) -> None:
    """Sets what of a patch lies within the mask."""
    rows = slice(max(patch.top, 0), max(patch.top + patch.height, 0))
    columns = slice(max(patch.left, 0), max(patch.left + patch.width, 0))
    target = mask[rows, columns]
    pixels = embedded_mask(patch.encoded, patch.height, patch.width, file)
    pixels = pixels[rows.start - patch.top :, columns.start - patch.left :]
    target |= pixels[: target.shape[0], : target.shape[1]]


def _other_size(file: str, drawn: tuple[int, int], size: tuple[int, int]) -> UnusableError:
    sizes = f"was drawn on {drawn[1]} x {drawn[0]} pixels, its photograph has {size[1]} x {size[0]} as shown upright"
    remedy = "label the photograph again or replace it by the one that was labelled"
    return UnusableError("size_mismatch", f"{file} {sizes} (width x height): {remedy}")


def _reaches_out(polygon: Polygon, height: int, width: int) -> bool:
    return bool((polygon < -_ROUNDING).any() or (polygon > np.array([width, height]) + _ROUNDING).any())
