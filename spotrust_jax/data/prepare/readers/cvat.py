"""CVAT's XML, "CVAT for images 1.1": polygons, rectangles, ellipses and masks."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from pycocotools import mask as coco_mask

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label
from spotrust_jax.data.prepare.readers.drawings import Annotation, Drawing, Undrawable, ellipse, outline_of, rectangle
from spotrust_jax.data.prepare.readers.entries import Entry, photographs_of
from spotrust_jax.data.prepare.readers.json_labels import positive_size, shown
from spotrust_jax.data.prepare.readers.listing import Reading, files_below, relative
from spotrust_jax.data.prepare.readers.polygons import RunLengths
from spotrust_jax.data.prepare.source import Finding, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import MAX_PIXELS

LOOKED_FOR = "an .xml file of CVAT for images"

_BEGINNING = 1000  # bytes within which CVAT opens its <annotations>
_MOST_XML = 1 << 30  # bytes; the parsed document needs several times as much memory


def found(root: Path) -> bool:
    """Whether there is an XML file that begins as CVAT's do."""
    return any(b"<annotations>" in _beginning(file) for file in files_below(root, {".xml"}))


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the XML files in and below a folder list; without shapes they are background.

    Attributes of shapes are not read. The split is the image's subset, where that is named after one.
    """
    files = files_below(root, {".xml"})
    if not files:
        raise InputError(f"{root} has no .xml files: give the folder with CVAT's XML as --source")
    entries, declared, findings = [], [], []
    for file in files:
        try:
            document = _document(file, relative(root, file))
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, file), str(error), True))
            continue
        classes = [class_label(label.findtext("name", "")) for label in document.iterfind("meta//label")]
        declared += classes
        entries += [_entry(file, image, classes) for image in document.iterfind("image")]
    return photographs_of(root, entries, corrosion_classes, declared, findings)


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(_BEGINNING)
    except OSError:
        return b""


def _document(file: Path, name: str) -> ET.Element:
    """The root of a file called `name`; an `UnusableError` where it is no XML of CVAT for images."""
    try:
        if file.stat().st_size > _MOST_XML:
            raise ValueError(f"larger than {_MOST_XML >> 20} MB")
        # Nothing outside the file is read, and expat ends entities that would fill the memory.
        document = ET.parse(file).getroot()
    except (OSError, ValueError, LookupError, ET.ParseError, RecursionError, MemoryError) as error:
        raise UnusableError("unreadable_label", f"{name} is not XML ({error}): export it again") from error
    images = document.findall("image")
    if document.tag != "annotations" or not images or any(not image.get("name") for image in images):
        reason = f"{name} does not list images as CVAT writes them"
        raise UnusableError("unreadable_label", f'{reason}: export it again, as "CVAT for images 1.1"')
    return document


def _entry(file: Path, image: ET.Element, classes: list[ClassLabel]) -> Entry:
    name, size = image.get("name", ""), positive_size(image.get("height"), image.get("width"))
    entry = Entry(file, name, size=size, split=split_named(image.get("subset", "")))
    if size is None:
        problem = UnusableError("unreadable_label", f"{name} is listed without its size: export it again")
        return entry._replace(problem=problem)
    try:
        return entry._replace(annotations=tuple(_annotations(name, image, size, classes)))
    except UnusableError as error:
        return entry._replace(problem=error)


def _annotations(
    name: str, image: ET.Element, size: tuple[int, int], classes: list[ClassLabel]
) -> Iterator[Annotation]:
    for shape in image:
        label = class_label(shape.get("label", ""))
        if label not in classes:
            reason = f"{name} has a {shown(shape.tag)} of class {shown(label.name)}, which the file does not define"
            raise UnusableError("unknown_class", f"{reason}: export it again")
        try:
            yield Annotation((label,), _drawing(shape, size))
        except (TypeError, ValueError, OverflowError):
            reason = f"has a {shape.tag} whose numbers cannot be understood: export it again"
            yield Annotation((label,), Undrawable("unreadable_label", reason))


def _drawing(shape: ET.Element, size: tuple[int, int]) -> Drawing:
    """A shape of a photograph of this height and width; a `ValueError` or `TypeError` where a number is none."""
    match shape.tag:
        case "polygon":
            return outline_of([point.split(",") for point in shape.get("points", "").split(";")])
        case "box":
            return _box(shape)
        case "ellipse":
            x, y, across, down = (_number(shape, key) for key in ("cx", "cy", "rx", "ry"))
            return ellipse(x, y, across, down, _turn(shape))
        case "mask":
            return _mask(shape, size)
    remedy = "which has no area: draw it as a polygon"
    return Undrawable("polygon", f"has corrosion drawn as {shown(shape.tag)}, {remedy}")


def _number(shape: ET.Element, key: str) -> float:
    return float(shape.get(key, ""))


def _turn(shape: ET.Element) -> float:
    """Clockwise, in radians."""
    return float(np.radians(float(shape.get("rotation", 0))))


def _box(shape: ET.Element) -> Drawing:
    """CVAT turns it around its centre."""
    left, top, right, bottom = (_number(shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    width, height, turn = right - left, bottom - top, _turn(shape)
    cosine, sine = np.cos(turn), np.sin(turn)
    corner_x = (left + right - width * cosine + height * sine) / 2
    corner_y = (top + bottom - width * sine - height * cosine) / 2
    return rectangle(corner_x, corner_y, width, height, turn)


def _mask(shape: ET.Element, size: tuple[int, int]) -> Drawing:
    """From run lengths row by row within a box, starting with background."""
    left, top, width, height = (int(shape.get(key, "")) for key in ("left", "top", "width", "height"))
    runs = [int(number) for number in shape.get("rle", "").split(",")]
    is_within = min(left, top) >= 0 and min(width, height) > 0 and top + height <= size[0] and left + width <= size[1]
    if not is_within or size[0] * size[1] > MAX_PIXELS or min(runs) < 0 or sum(runs) != width * height:
        return Undrawable("unreadable_label", "has a mask whose run lengths do not fill its box: export it again")
    pixels = np.zeros(size, np.uint8, order="F")
    pixels[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
    return RunLengths(*size, cast(bytes, coco_mask.encode(pixels)["counts"]).decode())
