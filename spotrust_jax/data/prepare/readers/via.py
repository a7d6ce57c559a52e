"""JSON of the VGG Image Annotator, its versions 1, 2 and 3: projects, and exports of version 1 and 2."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label
from spotrust_jax.data.prepare.readers.drawings import Annotation, Drawing, Undrawable, ellipse, outline_of, rectangle
from spotrust_jax.data.prepare.readers.entries import Entry, photographs_of
from spotrust_jax.data.prepare.readers.json_labels import any_has_keys, identifier, json_files, json_object, shown
from spotrust_jax.data.prepare.readers.listing import Reading, relative, split_within
from spotrust_jax.data.prepare.source import Finding, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError

LOOKED_FOR = "a .json file of the VGG Image Annotator"

_SHAPES = {2: "rect", 3: "circle", 4: "ellipse", 7: "polygon", 8: "extreme_rect"}
"""The numbers by which version 3 calls shapes with an area."""

_WITHOUT_AREA = "which has no area that is known: draw it as a polygon"


def found(root: Path) -> bool:
    """Whether there are JSON files with VIA's regions."""
    keys = (("shape_attributes",), ("file_attributes",), ("_via_img_metadata",), ("vid_list", "metadata"))
    return any(any_has_keys(root, each) for each in keys)


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the JSON files in and below a folder list; without regions they are background.

    A region's classes are the values of its attributes, whatever these are called. The split is that of the JSON's
    folder or of its name.
    """
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with VIA's JSON as --source")
    entries, findings = [], []
    for file in files:
        name = relative(root, file)
        try:
            content = json_object(file, name)
            read_entries = _entries_of_version_3 if "view" in content else _entries_of_version_2
            entries += read_entries(file, name, content, findings)
        except UnusableError as error:
            findings.append(Finding(error.kind, name, str(error), True))
    return photographs_of(root, entries, corrosion_classes, findings=findings)


def _entries_of_version_2(file: Path, name: str, content: dict, findings: list[Finding]) -> Iterator[Entry]:
    images = content.get("_via_img_metadata", content)
    if not isinstance(images, dict) or not images:
        raise _not_via(name)
    for image in images.values():
        text, regions = (image.get("filename"), image.get("regions")) if isinstance(image, dict) else (None, None)
        if not isinstance(text, str) or not text:
            raise _not_via(name)
        entry = Entry(file, text, split=_split(file))
        try:
            yield entry._replace(annotations=tuple(_annotation(text, region) for region in _regions(text, regions)))
        except UnusableError as error:
            yield entry._replace(problem=error)


def _regions(text: str, regions: object) -> list:
    """Version 1 numbers them."""
    listed = list(regions.values()) if isinstance(regions, dict) else regions
    if not isinstance(listed, list):
        raise UnusableError("unreadable_label", f"{text} has no list of regions: export it again")
    return listed


def _annotation(text: str, region: object) -> Annotation:
    shape = region.get("shape_attributes") if isinstance(region, dict) else None
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    if not isinstance(shape, dict) or not isinstance(attributes, dict):
        raise UnusableError("unreadable_label", f"{text} has a region without shape or attributes: export it again")
    labels = tuple(label for value in attributes.values() for label in _labels(value))
    return Annotation(_checked(text, labels), _drawing(shape))


def _labels(value: object) -> list[ClassLabel]:
    """The classes that an attribute gives: its text, or the boxes that are ticked."""
    names = [key for key, ticked in value.items() if ticked] if isinstance(value, dict) else [value]
    return [class_label(name) for name in names if isinstance(name, str) and class_label(name).name]


def _checked(text: str, labels: tuple[ClassLabel, ...]) -> tuple[ClassLabel, ...]:
    if not labels:
        raise UnusableError("unknown_class", f"{text} has a region without a class: give it one in VIA")
    return tuple(dict.fromkeys(labels))


def _drawing(shape: dict) -> Drawing:
    kind = shape.get("name")
    if kind == "polygon":
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not (isinstance(x, list) and isinstance(y, list) and len(x) == len(y)):
            return Undrawable("unreadable_label", "has a polygon without as many x as y: export it again")
        return outline_of(list(zip(x, y, strict=True)))
    fields = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }
    if not isinstance(kind, str) or kind not in fields:
        return Undrawable("polygon", f"has corrosion drawn as {shown(kind)}, {_WITHOUT_AREA}")
    numbers = [shape.get(field) for field in fields[kind]]
    return _drawn(kind, numbers, shape.get("theta", 0))


def _drawn(kind: str, numbers: list, turn: Any = 0) -> Drawing:
    """A shape from its numbers in the order in which both versions write them; `turn` is in radians."""
    try:
        values, turn = np.asarray(numbers, np.float64).ravel(), float(turn)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    match kind, values.tolist():
        case "rect", [x, y, width, height]:
            return rectangle(x, y, width, height)
        case "extreme_rect", [*points] if len(points) >= 4 and len(points) % 2 == 0:
            x, y = points[::2], points[1::2]
            return rectangle(min(x), min(y), max(x) - min(x), max(y) - min(y))
        case "circle", [x, y, radius]:
            return ellipse(x, y, radius, radius)
        case "ellipse", [x, y, across, down]:
            return ellipse(x, y, across, down, turn)
        case "polygon", [*points]:
            return outline_of(points)
    return Undrawable("unreadable_label", f"has a {kind} whose numbers cannot be understood: export it again")


def _entries_of_version_3(file: Path, name: str, content: dict, findings: list[Finding]) -> Iterator[Entry]:
    files, views, regions = (content.get(key) for key in ("file", "view", "metadata"))
    if not (isinstance(files, dict) and isinstance(views, dict) and isinstance(regions, dict)):
        raise _not_via(name)
    of_view, strays = defaultdict(list), 0
    for region in regions.values():
        view = identifier(region.get("vid")) if isinstance(region, dict) else None
        of_view[view].append(region)
        strays += view not in views
    if strays:
        message = f"{name} has {strays} region(s) of files that it does not list: export it again"
        findings.append(Finding("table", name, message, False))
    for view, described in views.items():
        text = _file_of(files, described)
        if text is None:
            raise _not_via(name)
        entry = Entry(file, text, split=_split(file))
        try:
            if strays and not of_view[view]:
                raise UnusableError(
                    "table", f"{text} may be what the regions belong to whose view is not listed: export again"
                )
            parts = tuple(_annotation_of_version_3(text, region, content.get("attribute")) for region in of_view[view])
            yield entry._replace(annotations=tuple(part for part in parts if part))
        except UnusableError as error:
            yield entry._replace(problem=error)


def _file_of(files: dict, view: object) -> str | None:
    """The path of the one file of a view."""
    numbers = view.get("fid_list") if isinstance(view, dict) else None
    if not isinstance(numbers, list) or len(numbers) != 1:
        return None
    content = files.get(identifier(numbers[0]))
    paths = [content.get(key) for key in ("src", "fname")] if isinstance(content, dict) else []
    return next((path for path in paths if isinstance(path, str) and path and not path.startswith("data:")), None)


def _annotation_of_version_3(text: str, region: dict, attributes: object) -> Annotation | None:
    """None for what is said of the whole photograph."""
    shape, values, times = region.get("xy"), region.get("av"), region.get("z")
    if shape == [] and not times:
        return None
    if not isinstance(shape, list) or not shape or not isinstance(values, dict) or times:
        raise UnusableError("unreadable_label", f"{text} has a region without shape or attributes: export it again")
    labels = tuple(
        label for number, value in values.items() for label in _labels_of_version_3(attributes, number, value)
    )
    kind = _SHAPES.get(shape[0]) if isinstance(shape[0], int) else None
    drawing = (
        _drawn(kind, shape[1:]) if kind else Undrawable("polygon", f"has corrosion drawn as a shape, {_WITHOUT_AREA}")
    )
    return Annotation(_checked(text, labels), drawing)


def _labels_of_version_3(attributes: object, number: str, value: object) -> list[ClassLabel]:
    """The options that are chosen, by their numbers with commas between; without options a text."""
    attribute = attributes.get(number) if isinstance(attributes, dict) else None
    options = attribute.get("options") if isinstance(attribute, dict) else None
    if not isinstance(options, dict) or not options or not isinstance(value, str):
        return _labels(value)
    chosen = [option.strip() for option in value.split(",") if option.strip()]
    return [label for option in chosen for label in _labels(options.get(option))]


def _split(file: Path) -> str | None:
    return split_named(file.parent.name) or split_within(file.stem)


def _not_via(name: str) -> UnusableError:
    reason = f"{name} does not list files with regions as VIA writes them"
    return UnusableError("unreadable_label", f"{reason}: export it again, or remove the file")
