"""labelme's JSON files, one beside each photograph."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spotrust_jax.data.readers.classes import ClassLabel, corrosion_classes_of
from spotrust_jax.data.readers.documents import any_has_key, json_files, json_object, positive_size
from spotrust_jax.data.readers.listing import (
    Reading,
    located,
    missing_image,
    name_of,
    relative,
    split_named,
    unlabelled,
)
from spotrust_jax.data.readers.polygons import Polygon, PolygonLabel, points_of
from spotrust_jax.data.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.errors import InputError

LOOKED_FOR = "labelme's .json files with shapes"

_CIRCLE_CORNERS = 180  # a polygon of so many corners is within 0.02% of the radius


class _Shape(NamedTuple):
    label: ClassLabel
    kind: str
    points: object


class _Document(NamedTuple):
    file: str
    image: Path
    size: tuple[int, int] | None
    shapes: list[_Shape]


def found(root: Path) -> bool:
    """Whether there are JSON files with shapes."""
    return any_has_key(root, "shapes")


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the JSON files in and below a folder name.

    Polygons, rectangles and circles are read; points and lines have no area. Embedded image data are not used.
    """
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with labelme's files as --source")
    documents, findings, broken = [], [], []
    for file in files:
        try:
            documents.append(_document(root, file))
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, file), str(error), True))
            broken.append(file)
    labels = {shape.label for document in documents for shape in document.shapes}
    chosen = corrosion_classes_of(labels, corrosion_classes, root)
    photographs = []
    for document in documents:
        try:
            photographs.append(_photograph(root, document, chosen))
            findings += _ignored(document, chosen)
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, document.image), str(error), True))
    return Reading(photographs, findings + _without_label(root, documents, broken))


def _document(root: Path, file: Path) -> _Document:
    name = relative(root, file)
    document = json_object(file, name)
    shapes, path = document.get("shapes"), document.get("imagePath")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UnusableError("unreadable_label", f"{name} has no list of shapes as labelme writes it: remove the file")
    if not isinstance(path, str) or not path:
        raise UnusableError("unreadable_label", f"{name} has no imagePath: save it again in labelme")
    image = _image(root, file.parent, path)
    if image is None:
        raise UnusableError("missing_image", missing_image(root, file, path).message)
    size = positive_size(document.get("imageHeight"), document.get("imageWidth"))
    return _Document(name, image, size, [_shape(shape) for shape in shapes])


def _image(root: Path, folder: Path, path: str) -> Path | None:
    """The photograph where the label says or, where its folder was moved, beside the label."""
    beside = located(root, folder, path.replace("\\", "/").rsplit("/", 1)[-1])
    try:
        return located(root, folder, path) or beside
    except UnusableError:
        if beside is None:
            raise
        return beside


def _shape(shape: dict) -> _Shape:
    return _Shape(ClassLabel(str(shape.get("label"))), str(shape.get("shape_type") or "polygon"), shape.get("points"))


def _photograph(root: Path, document: _Document, chosen: frozenset[ClassLabel]) -> LabelledPhotograph:
    shapes = [shape for shape in document.shapes if shape.label in chosen and shape.kind in _OUTLINES]
    if any(shape.kind == "mask" and shape.label in chosen for shape in document.shapes):
        reason = f"{document.file} has a shape of labelme's type mask, which is not read"
        raise UnusableError("unreadable_label", f"{reason}: convert it to a polygon in labelme")
    polygons = [_OUTLINES[shape.kind](points_of(shape.points, document.file), document.file) for shape in shapes]
    label = PolygonLabel(document.file, tuple(polygons), size=document.size)
    split = split_named(relative(root, document.image).split("/")[0])
    return LabelledPhotograph(name_of(root, document.image), document.image, label, split)


def _ignored(document: _Document, chosen: frozenset[ClassLabel]) -> list[Finding]:
    kinds = sorted({shape.kind for shape in document.shapes if shape.label in chosen} - _OUTLINES.keys())
    reason = f"{document.file} has shapes without area ({', '.join(kinds)}), which were ignored"
    return [Finding("polygon", document.file, f"{reason}: draw corrosion as polygons", False)] if kinds else []


def _without_label(root: Path, documents: Sequence[_Document], broken: Sequence[Path]) -> list[Finding]:
    """Photographs in the same folders that no file names, but for those whose file of the same stem is broken."""
    folders = {document.image.parent for document in documents} | {file.parent for file in broken}
    stems = {file.with_suffix("") for file in broken}
    findings = unlabelled(root, folders, [document.image for document in documents], "no .json file that names it")
    return [finding for finding in findings if (root / finding.file).with_suffix("") not in stems]


def _polygon(points: Polygon, file: str) -> Polygon:
    return points


def _rectangle(points: Polygon, file: str) -> Polygon:
    """From two opposite corners or, as newer versions write it, from four."""
    if len(points) == 4:
        return points
    _expect_two(points, "rectangle", file)
    (left, top), (right, bottom) = points
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _circle(points: Polygon, file: str) -> Polygon:
    """From its centre and a point on it."""
    _expect_two(points, "circle", file)
    angles = np.linspace(0, 2 * math.pi, _CIRCLE_CORNERS, endpoint=False)
    return points[0] + np.hypot(*(points[1] - points[0])) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _expect_two(points: Polygon, kind: str, file: str) -> None:
    if len(points) != 2:
        raise UnusableError("polygon", f"{file} has a {kind} of {len(points)} points, expected 2: draw it again")


_OUTLINES = {"polygon": _polygon, "rectangle": _rectangle, "circle": _circle}
