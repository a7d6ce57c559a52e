"""COCO's JSON: one file names many photographs, and draws on them with polygons and run lengths."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label
from spotrust_jax.data.prepare.readers.drawings import Annotation, Drawing, Undrawable, outline_of
from spotrust_jax.data.prepare.readers.entries import Entry, photographs_of
from spotrust_jax.data.prepare.readers.json_labels import (
    any_has_keys,
    identifier,
    json_files,
    json_object,
    positive_size,
    shown,
)
from spotrust_jax.data.prepare.readers.listing import Reading, relative, split_within
from spotrust_jax.data.prepare.readers.polygons import RunLengths
from spotrust_jax.data.prepare.source import Finding, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError

LOOKED_FOR = "a COCO .json file with images, annotations and categories"


def found(root: Path) -> bool:
    """Whether there are JSON files with annotations, other than Label Studio's."""
    return any_has_keys(root, ("annotations",), without=("result",))


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the JSON files in and below a folder list; without annotations they are background.

    The split is that of the JSON's folder, as Roboflow exports it, or of its name, as in `instances_val2017.json`. A
    class's number is its category id. A JSON that cannot be used is an `InputError` where it is the only one.
    """
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with COCO's JSON as --source")
    entries, labels, findings, used = [], [], [], 0
    for file in files:
        try:
            content = _CocoFile(root, file)
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, file), str(error), True))
            continue
        used += 1
        entries += content.entries()
        labels += content.categories.values()
        findings += content.findings
    if not used:
        raise InputError(f"{root} has no usable COCO file: {findings[0].message}")
    return photographs_of(root, entries, corrosion_classes, labels, findings)


class _CocoFile:
    """One JSON file with its entries by what identifies them; an `UnusableError` where it is none of COCO's."""

    def __init__(self, root: Path, file: Path):
        self.file, self.name = file, relative(root, file)
        self.findings: list[Finding] = []
        content = json_object(file, self.name)
        keys = ("images", "annotations", "categories")
        if not all(isinstance(content.get(key), list) for key in keys):
            reason = f"{self.name} does not have the lists {', '.join(keys)}"
            raise UnusableError("unreadable_label", f"{reason}: export it as COCO segmentation, or remove the file")
        names = {"id": identifier, "file_name": _text}
        self.images = self._entries(content, "images", names)
        self.annotations = defaultdict(list)
        # Without a readable image_id it may be any photograph's.
        self.homeless = False
        for annotation in content["annotations"]:
            image = identifier(annotation.get("image_id")) if isinstance(annotation, dict) else None
            self.homeless |= image is None
            self.annotations[image].append(annotation)
        self.categories = self._categories(content)
        ids = {identifier(image["id"]) for image in self.images}
        self.strays = sum(len(annotations) for image, annotations in self.annotations.items() if image not in ids)
        if self.strays:
            self._note(f"has {self.strays} annotation(s) of images that it does not list")

    def entries(self) -> Iterator[Entry]:
        """An entry for each image."""
        split = split_named(self.file.parent.name) or split_within(self.file.stem)
        listed = Counter(identifier(image["id"]) for image in self.images)
        for image in self.images:
            number, text = identifier(image["id"]), image["file_name"]
            own = self.annotations.get(number, [])
            size = positive_size(image.get("height"), image.get("width"))
            entry = Entry(self.file, text, size=size, split=split)
            try:
                if listed[number] > 1:
                    raise UnusableError(
                        "table", f"{shown(text)} has the id {number}, as another image: export it again"
                    )
                if self.homeless or (self.strays and not own):
                    reason = f"{shown(text)} may be what the annotations belong to whose image_id is not listed"
                    raise UnusableError("table", f"{reason}: export it again")
                yield entry._replace(annotations=tuple(part for each in own for part in self._parts(text, each)))
            except UnusableError as error:
                yield entry._replace(problem=error)

    def _parts(self, text: str, annotation: dict) -> Iterator[Annotation]:
        """The parts of an annotation of the photograph `text`, each with its class."""
        number = identifier(annotation.get("category_id"))
        if number not in self.categories:
            reason = f"{shown(text)} has category {shown(annotation.get('category_id'))}, which is not defined"
            raise UnusableError("unknown_class", f"{reason}: export it again")
        for drawing in _drawings(annotation.get("segmentation")):
            yield Annotation((self.categories[number],), drawing)

    def _entries(self, content: dict, key: str, fields: dict[str, Callable]) -> list[dict]:
        """The entries that have these fields; that others have not is noted."""
        entries = [
            entry
            for entry in content[key]
            if isinstance(entry, dict) and all(read(entry.get(field)) for field, read in fields.items())
        ]
        if bad := len(content[key]) - len(entries):
            self._note(f"has {bad} of its {key} without {' and '.join(fields)}, which were ignored")
        return entries

    def _categories(self, content: dict) -> dict[str, ClassLabel]:
        """Classes by category id, but for the one that Roboflow adds as a heading of the others."""
        categories = self._entries(content, "categories", {"id": identifier, "name": _text})
        used = {
            identifier(annotation.get("category_id"))
            for annotations in self.annotations.values()
            for annotation in annotations
            if isinstance(annotation, dict)
        }
        headings = [entry["supercategory"] for entry in categories if isinstance(entry.get("supercategory"), str)]
        classes = defaultdict(set)
        for entry in categories:
            number, name = identifier(entry["id"]), entry["name"]
            if number in used or name not in headings or entry.get("supercategory") == name:
                classes[number].add(class_label(name, int(number) if number and number.isdecimal() else None))
        return {number: labels.pop() for number, labels in classes.items() if len(labels) == 1}

    def _note(self, reason: str) -> None:
        self.findings.append(Finding("table", self.name, f"{self.name} {reason}: export it again", False))


def _drawings(segmentation: object) -> list[Drawing]:
    if isinstance(segmentation, dict):
        return [_run_lengths(segmentation)]
    if not isinstance(segmentation, list) or not segmentation:
        return [Undrawable("polygon", "has a box without polygon: draw it again, or export segmentation")]
    return [outline_of(part) for part in segmentation]


def _run_lengths(segmentation: dict) -> Drawing:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        counts = tuple(counts)
    sides = positive_size(*size) if isinstance(size, list) and len(size) == 2 else None
    if sides is None or not isinstance(counts, str | tuple):
        return Undrawable("unreadable_label", "has run lengths without size or counts: export it again")
    return RunLengths(*sides, counts)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
