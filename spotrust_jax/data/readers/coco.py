"""COCO's JSON: one file names many photographs, and draws on them with polygons and run lengths."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from spotrust_jax.data.readers.classes import ClassLabel, corrosion_classes_of
from spotrust_jax.data.readers.documents import any_has_key, json_files, json_object, positive_size
from spotrust_jax.data.readers.listing import (
    Reading,
    composed,
    located,
    name_of,
    photographs_below,
    relative,
    split_named,
    split_within,
    unlabelled,
)
from spotrust_jax.data.readers.polygons import Polygon, PolygonLabel, RunLengths, points_of
from spotrust_jax.data.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.errors import InputError

LOOKED_FOR = "a COCO .json file with images, annotations and categories"


class _Document(NamedTuple):
    file: Path
    name: str
    images: list[dict]
    annotations: list[dict]
    categories: dict[int, ClassLabel]
    findings: list[Finding]


def found(root: Path) -> bool:
    """Whether there are JSON files with annotations."""
    return any_has_key(root, "annotations")


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs that the JSON files in and below a folder list; without annotations they are background.

    The split is that of the JSON's folder, as Roboflow exports it, or of its name, as in `instances_val2017.json`. A
    class's number is its category id. A JSON that cannot be used is an `InputError` where it is the only one.
    """
    documents, findings = _documents(root)
    labels = {label for document in documents for label in document.categories.values()}
    chosen = corrosion_classes_of(labels, corrosion_classes, root)
    of_name = defaultdict(list)
    for image in photographs_below(root):
        of_name[composed(image.name)].append(image)
    photographs = []
    for document in documents:
        readable, problems = _photographs(root, document, chosen, of_name)
        photographs += readable
        findings += document.findings + problems
    known = [each.image for each in photographs] + [root / finding.file for finding in findings]
    folders = {each.image.parent for each in photographs}
    return Reading(photographs, findings + unlabelled(root, folders, known, "no .json file that lists it"))


def _documents(root: Path) -> tuple[list[_Document], list[Finding]]:
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with COCO's JSON as --source")
    documents, findings = [], []
    for file in files:
        try:
            documents.append(_document(root, file))
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, file), str(error), True))
    if not documents:
        raise InputError(f"{root} has no usable COCO file: {findings[0].message}")
    return documents, findings


def _document(root: Path, file: Path) -> _Document:
    name = relative(root, file)
    document = json_object(file, name)
    keys = ("images", "annotations", "categories")
    if not all(isinstance(document.get(key), list) for key in keys):
        reason = f"{name} does not have the lists {', '.join(keys)}"
        raise UnusableError("unreadable_label", f"{reason}: export it as COCO segmentation, or remove the file")
    findings: list[Finding] = []
    images = _entries(document, "images", {"id": int | str, "file_name": str}, name, findings)
    annotations = _entries(document, "annotations", {"image_id": int | str}, name, findings)
    categories = _entries(document, "categories", {"id": int, "name": str}, name, findings)
    ids = {image["id"] for image in images}
    if strays := sum(annotation["image_id"] not in ids for annotation in annotations):
        message = f"{name} has {strays} annotation(s) of images that it does not list: export it again"
        findings.append(Finding("table", name, message, False))
    return _Document(file, name, images, annotations, _classes(categories, annotations), findings)


def _entries(document: dict, key: str, fields: dict, name: str, findings: list[Finding]) -> list[dict]:
    """The entries that have these fields; that others have not is added to the findings."""
    entries = [
        entry
        for entry in document[key]
        if isinstance(entry, dict) and all(isinstance(entry.get(field), kind) for field, kind in fields.items())
    ]
    if bad := len(document[key]) - len(entries):
        reason = f"{name} has {bad} of its {key} without {' and '.join(fields)}"
        findings.append(Finding("table", name, f"{reason}, which were ignored: export it again", False))
    return entries


def _classes(categories: list[dict], annotations: list[dict]) -> dict[int, ClassLabel]:
    """Classes by category id, but for the one that Roboflow adds as a heading of the others."""
    used = {entry["category_id"] for entry in annotations if isinstance(entry.get("category_id"), int)}
    headings = [entry["supercategory"] for entry in categories if isinstance(entry.get("supercategory"), str)]
    return {
        entry["id"]: ClassLabel(entry["name"], entry["id"])
        for entry in categories
        if entry["id"] in used or entry["name"] not in headings or entry.get("supercategory") == entry["name"]
    }


def _photographs(
    root: Path, document: _Document, chosen: frozenset[ClassLabel], of_name: Mapping[str, list[Path]]
) -> tuple[list[LabelledPhotograph], list[Finding]]:
    annotations = defaultdict(list)
    for annotation in document.annotations:
        annotations[annotation["image_id"]].append(annotation)
    split = split_named(document.file.parent.name) or split_within(document.file.stem)
    photographs, findings = [], []
    for entry in document.images:
        try:
            image = _image(root, document.file, entry["file_name"], split, of_name)
        except UnusableError as error:
            findings.append(Finding(error.kind, entry["file_name"], f"{document.name}: {error}", True))
            continue
        name = relative(root, image)
        try:
            label = _label(name, entry, annotations[entry["id"]], document.categories, chosen)
            photographs.append(LabelledPhotograph(name_of(root, image), image, label, split))
        except UnusableError as error:
            findings.append(Finding(error.kind, name, f"{document.name}: {error}", True))
    return photographs, findings


def _image(root: Path, file: Path, text: str, split: str | None, of_name: Mapping[str, list[Path]]) -> Path:
    """The file beside the JSON, or the one below the source that is meant; an `UnusableError` where there is none."""
    if image := located(root, file.parent, text):
        return image
    path = PurePosixPath(composed(text.replace("\\", "/")))
    candidates = of_name.get(path.name, [])
    for meant in (
        lambda image: image.parts[-len(path.parts) :] == path.parts,
        lambda image: split in map(split_named, Path(relative(root, image)).parts[:-1]),
        lambda image: image.parent in (root, root / "images"),
    ):
        candidates = [image for image in candidates if meant(image)] or candidates
    if len(candidates) == 1:
        return candidates[0]
    found = "is not there" if not candidates else "is there several times in folders that the JSON does not tell apart"
    raise UnusableError("missing_image", f"photograph {text!r} {found}: put it into the folder of the JSON or images/")


def _label(
    name: str, entry: dict, annotations: list[dict], categories: dict[int, ClassLabel], chosen: frozenset[ClassLabel]
) -> PolygonLabel:
    polygons: list[Polygon] = []
    runs: list[RunLengths] = []
    for annotation in annotations:
        number = annotation.get("category_id")
        if not isinstance(number, int) or number not in categories:
            raise UnusableError(
                "unknown_class", f"{name} has category {number!r}, which is not defined: export it again"
            )
        if categories[number] not in chosen:
            continue
        segmentation = annotation.get("segmentation")
        if isinstance(segmentation, dict):
            runs.append(_run_lengths(name, segmentation))
        elif isinstance(segmentation, list) and segmentation:
            polygons += [points_of(part, name) for part in segmentation]
        else:
            raise UnusableError("polygon", f"{name} has a box without polygon: draw it again, or export segmentation")
    size = positive_size(entry.get("height"), entry.get("width"))
    return PolygonLabel(name, tuple(polygons), tuple(runs), size=size)


def _run_lengths(name: str, segmentation: dict) -> RunLengths:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if isinstance(counts, list) and all(type(count) is int for count in counts):
        counts = tuple(counts)
    sides = positive_size(*size) if isinstance(size, list) and len(size) == 2 else None
    if sides is None or not isinstance(counts, str | tuple):
        raise UnusableError("unreadable_label", f"{name} has run lengths without size or counts: export it again")
    return RunLengths(*sides, counts)
