"""labelme's JSON files, one for each photograph, also as X-AnyLabeling writes them."""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from spotrust_jax.data.prepare.readers.classes import class_label
from spotrust_jax.data.prepare.readers.drawings import (
    Annotation,
    Circle,
    Drawing,
    DrawnPolygon,
    Patch,
    Undrawable,
    outline_of,
)
from spotrust_jax.data.prepare.readers.entries import Entry, photographs_of
from spotrust_jax.data.prepare.readers.json_labels import any_has_keys, json_files, json_object, positive_size, shown
from spotrust_jax.data.prepare.readers.listing import Reading, relative
from spotrust_jax.data.prepare.readers.polygons import Polygon, filled
from spotrust_jax.data.prepare.source import Finding, UnusableError
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import is_photograph

LOOKED_FOR = "labelme's .json files with shapes"


def found(root: Path) -> bool:
    """Whether there are JSON files with shapes."""
    return any_has_keys(root, ("shapes",))


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the JSON files in and below a folder name.

    All shapes with an area are drawn; points and lines have none. Where the photograph is not there, the one that the
    file itself stores counts.
    """
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with labelme's files as --source")
    entries, findings = [], []
    for file in files:
        try:
            entries.append(_entry(root, file))
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, file), str(error), True))
    return photographs_of(root, entries, corrosion_classes, findings=findings)


class Drawn(NamedTuple):
    """A shape of a file, and its label as it is written."""

    label: str
    drawing: Drawing


def drawn_shapes(file: Path) -> tuple[list[Drawn], tuple[int, int] | None]:
    """All shapes of one file, and height and width of the photograph that they were drawn on, where it says so.

    Raises:
        UnusableError: where it is no file of labelme.
    """
    content = json_object(file, str(file))
    shapes = [
        Drawn(one["label"], _drawing(one, kind)) for one, kind in _labelled(str(file), _shapes(content, str(file)))
    ]
    return shapes, positive_size(content.get("imageHeight"), content.get("imageWidth"))


def _shapes(content: dict, name: str) -> list[dict]:
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UnusableError("unreadable_label", f"{name} has no list of shapes as labelme writes it: remove the file")
    return shapes


def _labelled(name: str, shapes: list[dict]) -> Iterator[tuple[dict, object]]:
    """Each shape with its kind; an `UnusableError` where one has no label."""
    for shape in shapes:
        label = shape.get("label")
        if not isinstance(label, str) or not class_label(label).name:
            reason = f"{name} has a shape whose label is {shown(label)}, which is no class"
            raise UnusableError("unknown_class", f"{reason}: give it one in labelme")
        yield shape, shape.get("shape_type") or "polygon"


def _entry(root: Path, file: Path) -> Entry:
    name = relative(root, file)
    content = json_object(file, name)
    shapes, path = _shapes(content, name), content.get("imagePath")
    if not isinstance(path, str) or not path:
        raise UnusableError("unreadable_label", f"{name} has no imagePath: save it again in labelme")
    is_image = is_photograph(PurePosixPath(path.replace("\\", "/")).name)
    size = positive_size(content.get("imageHeight"), content.get("imageWidth"))
    embedded = isinstance(content.get("imageData"), str) and bool(content["imageData"])
    entry = Entry(file, path if is_image else file.stem, size=size, embedded=embedded, alone=True)
    try:
        return entry._replace(annotations=tuple(_annotations(name, shapes)))
    except UnusableError as error:
        return entry._replace(problem=error)


def _annotations(name: str, shapes: list[dict]) -> Iterator[Annotation]:
    return (
        Annotation((class_label(shape["label"]),), _drawing(shape, kind)) for shape, kind in _labelled(name, shapes)
    )


def _drawing(shape: dict, kind: object) -> Drawing:
    draw = _SHAPES.get(kind) if isinstance(kind, str) else None
    if draw is None:
        reason = f"has corrosion drawn as {shown(kind)}, which has no area that is known"
        return Undrawable("polygon", f"{reason}: draw it as a polygon")
    outline = outline_of(shape.get("points"), filled)
    return draw(shape, outline.points) if isinstance(outline, DrawnPolygon) else outline


def _polygon(shape: dict, points: Polygon) -> Drawing:
    return DrawnPolygon(points, filled)


def _four_corners(shape: dict, points: Polygon) -> Drawing:
    return DrawnPolygon(points, filled) if len(points) == 4 else _wrong_number(shape, points, 4)


def _rectangle(shape: dict, points: Polygon) -> Drawing:
    """From two opposite corners or, as newer versions write it, from four."""
    if len(points) != 2:
        return _four_corners(shape, points)
    (left, top), (right, bottom) = points
    return DrawnPolygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), filled)


def _circle(shape: dict, points: Polygon) -> Drawing:
    """From its centre and a point on it."""
    if len(points) != 2:
        return _wrong_number(shape, points, 2)
    return Circle(points[0], float(np.hypot(*(points[1] - points[0]))))


def _mask(shape: dict, points: Polygon) -> Drawing:
    """From two opposite corners, both within it, and a picture of it."""
    encoded = shape.get("mask")
    if len(points) != 2:
        return _wrong_number(shape, points, 2)
    (left, top), (right, bottom) = points.astype(int).tolist()
    if not isinstance(encoded, str) or right < left or bottom < top:
        return Undrawable("unreadable_label", "has a shape of type mask without its mask: draw it again")
    return Patch(left, top, bottom - top + 1, right - left + 1, encoded)


def _wrong_number(shape: dict, points: Polygon, expected: int) -> Undrawable:
    reason = f"has a {shape.get('shape_type')} of {len(points)} points, expected {expected}"
    return Undrawable("polygon", f"{reason}: draw it again")


_SHAPES: dict[str, Callable[[dict, Polygon], Drawing]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "rotation": _four_corners,
    "oriented_rectangle": _four_corners,
    "quadrilateral": _four_corners,
    "circle": _circle,
    "mask": _mask,
}
