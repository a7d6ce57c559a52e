"""YOLO's segmentation text, `class x1 y1 x2 y2 ...` a line in shares of width and height, and its data.yaml."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label, corrosion_classes_of
from spotrust_jax.data.prepare.readers.drawings import Annotation, Drawing, DrawnLabel, Undrawable, outline_of
from spotrust_jax.data.prepare.readers.json_labels import yaml_object
from spotrust_jax.data.prepare.readers.listing import (
    Layout,
    Pair,
    Reading,
    layouts,
    name_of,
    paired,
    relative,
    split_named,
)
from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.errors import InputError

LOOKED_FOR = "images/ and labels/ with YOLO's .txt files"

_LABEL_FOLDERS = ("labels", "yolo_labels")
_YAML = ("data.yaml", "data.yml")


class _Row(NamedTuple):
    number: int
    coordinates: list[str]


class _Labelled(NamedTuple):
    pair: Pair
    rows: list[_Row]


def found(root: Path) -> bool:
    """Whether there are folders with photographs and text files."""
    parts = _parts(root, _description(root))
    return any(file.suffix.lower() == ".txt" for part in parts for file in _files(part.labels))


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """Photographs and text files of the same stems; an empty text file says that there is nothing.

    Class names are those of data.yaml, else of a classes.txt beside the labels or in the source, else their numbers.
    """
    description = _description(root)
    parts = _parts(root, description)
    if not parts:
        raise InputError(f"{root} has no folders images and labels: put photographs and .txt files there")
    labelled, findings = [], []
    for part in parts:
        pairs, problems = paired(root, part, [".txt"], "label")
        findings += [problem for problem in problems if not problem.file.endswith("/classes.txt")]
        for pair in pairs:
            try:
                labelled.append(_Labelled(pair, _rows(root, pair.label)))
            except UnusableError as error:
                findings.append(Finding(error.kind, relative(root, pair.label), str(error), True))
    names = _names(root, description, parts)
    names = names or {row.number: str(row.number) for each in labelled for row in each.rows}
    classes = {number: class_label(name, number) for number, name in sorted(names.items())}
    chosen = corrosion_classes_of(classes.values(), corrosion_classes, root)
    photographs = []
    for each in labelled:
        file = relative(root, each.pair.label)
        try:
            annotations = tuple(_annotation(file, row, classes, chosen) for row in each.rows)
            label = DrawnLabel(file, annotations, tuple(classes.values()), chosen)
            name = name_of(root, each.pair.image)
            photographs.append(LabelledPhotograph(name, each.pair.image, label, each.pair.split))
        except UnusableError as error:
            findings.append(Finding(error.kind, file, str(error), True))
    return Reading(photographs, findings)


def _description(root: Path) -> dict:
    """What data.yaml says, if it is there."""
    file = next((root / name for name in _YAML if (root / name).is_file()), None)
    return yaml_object(file) if file else {}


def _parts(root: Path, description: dict) -> list[Layout]:
    """The folders of the splits as data.yaml names them or, where it names none, in the usual places."""
    base = root / str(description.get("path") or "")
    parts = {}
    for key, value in description.items():
        for text in value if isinstance(value, list) else [value]:
            if split_named(str(key)) and isinstance(text, str) and (folder := _folder(root, base, text)):
                parts.setdefault(folder, split_named(str(key)))
    if len(parts) > 1:
        return [Layout(folder, _labels_of(root, folder), split) for folder, split in parts.items()]
    return layouts(root, _LABEL_FOLDERS)


def _folder(root: Path, base: Path, text: str) -> Path | None:
    """A folder of data.yaml that is there and within the source; Roboflow writes one `../` too many."""
    for candidate in (base / text, root / text, root / text.replace("\\", "/").removeprefix("../")):
        folder = Path(os.path.normpath(candidate))
        if folder.is_dir() and Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(root)):
            return folder / "images" if (folder / "images").is_dir() else folder
    return None


def _labels_of(root: Path, images: Path) -> Path:
    """The last folder called images becomes labels, as in YOLO itself; without one labels lie beside photographs."""
    parts = list(Path(relative(root, images)).parts)
    if "images" not in parts:
        return images
    last = len(parts) - 1 - parts[::-1].index("images")
    candidates = [root.joinpath(*parts[:last], name, *parts[last + 1 :]) for name in _LABEL_FOLDERS]
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


def _files(folder: Path) -> Iterator[Path]:
    return (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)


def _names(root: Path, description: dict, parts: list[Layout]) -> dict[int, str]:
    names = description.get("names")
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if isinstance(numbered, dict) and all(_is_named(*item) for item in numbered.items()):
        return {int(number): str(name) for number, name in numbered.items()}
    if names is not None:
        raise InputError(f"{root / _YAML[0]} has names that are neither a list nor numbered: write names: [rust, ...]")
    for folder in (*(part.labels for part in parts), root):
        if (file := folder / "classes.txt").is_file():
            lines = file.read_text("utf-8-sig", errors="replace").splitlines()
            return {i: line.strip() for i, line in enumerate(lines) if line.strip()}
    return {}


def _is_named(number: object, name: object) -> bool:
    """Whether an entry has a class's number and a name for it, which YAML may take for a number or for yes or no."""
    return isinstance(number, int | str) and _is_class(str(number)) and isinstance(name, str | int | float)


def _is_class(word: str) -> bool:
    return word.isdecimal() and len(word) < 10


def _rows(root: Path, file: Path) -> list[_Row]:
    name = relative(root, file)
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError("unreadable_label", f"{name} is not text ({error}): export it again") from error
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not (_is_class(words[0]) and len(words) % 2):
            shown = line if len(line) <= 40 else f"{line[:40]}..."
            reason = f"{name} line {number} is {shown!r}, expected a class number and pairs of coordinates"
            raise UnusableError("unreadable_label", f"{reason}: export it again")
        if words:
            rows.append(_Row(int(words[0]), words[1:]))
    return rows


def _annotation(file: str, row: _Row, classes: dict[int, ClassLabel], chosen: frozenset[ClassLabel]) -> Annotation:
    """A row with its class; an `UnusableError` where it has none, or is corrosion that cannot be drawn."""
    if row.number not in classes:
        listed = ", ".join(map(str, classes))
        reason = f"{file} has class {row.number}, and the names are of {listed} only"
        raise UnusableError("unknown_class", f"{reason}: add its name to data.yaml")
    drawing: Drawing = outline_of(row.coordinates, shares=True)
    if len(row.coordinates) == 4:
        remedy = "draw it again or export segmentation"
        drawing = Undrawable("polygon", f"has a box instead of a polygon: {remedy}")
    if isinstance(drawing, Undrawable) and classes[row.number] in chosen:
        raise UnusableError(drawing.kind, f"{file} {drawing.reason}")
    return Annotation((classes[row.number],), drawing)
