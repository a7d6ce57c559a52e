"""Label Studio's JSON: tasks with polygons, rectangles, ellipses and what a brush painted."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label
from spotrust_jax.data.prepare.readers.drawings import (
    Annotation,
    Brush,
    Drawing,
    Undrawable,
    ellipse,
    outline_of,
    rectangle,
)
from spotrust_jax.data.prepare.readers.entries import Entry, photographs_of
from spotrust_jax.data.prepare.readers.json_labels import any_has_keys, json_files, json_value, positive_size
from spotrust_jax.data.prepare.readers.listing import Reading, relative, split_within
from spotrust_jax.data.prepare.source import Finding, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import is_photograph

LOOKED_FOR = "a .json file of Label Studio"

_GEOMETRY = ("points", "rle", "width", "radiusX")
"""What values of regions have one of; a result without it may repeat the classes of another of its id."""

_NO_REGIONS = ("choices", "datetime", "number", "pairwise", "ranker", "rating", "relation", "taxonomy", "textarea")
"""Types of results that are said of the whole photograph."""


def found(root: Path) -> bool:
    """Whether there are JSON files with tasks and their results."""
    return any_has_keys(root, ("annotations", "result"))


def read(root: Path, corrosion_classes: tuple[str, ...]) -> Reading:
    """The photographs of the tasks that the JSON files in and below a folder list.

    A task has been annotated once, or once as ground truth; what was cancelled, and predictions, do not count. Without
    regions it is background. The split is that of the JSON's folder or of its name.
    """
    files = json_files(root)
    if not files:
        raise InputError(f"{root} has no .json files: give the folder with Label Studio's JSON as --source")
    entries, findings = [], []
    for file in files:
        name = relative(root, file)
        try:
            entries += _entries(file, name)
        except UnusableError as error:
            findings.append(Finding(error.kind, name, str(error), True))
    return photographs_of(root, entries, corrosion_classes, findings=findings)


def _entries(file: Path, name: str) -> Iterator[Entry]:
    tasks = json_value(file, name)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise UnusableError("unreadable_label", f"{name} is no list of tasks: export it as JSON, or remove the file")
    for task in tasks:
        text = _image_of(task["data"])
        if text is None:
            raise UnusableError("unreadable_label", f"{name} has a task without an image: export it again")
        split = split_named(file.parent.name) or split_within(file.stem)
        entry = Entry(file, text, split=split)
        try:
            results = _results(text, task)
            yield entry._replace(annotations=tuple(_annotations(text, results)), size=_size(text, results))
        except UnusableError as error:
            yield entry._replace(problem=error)


def _image_of(data: object) -> str | None:
    """The task's only value that names an image, or that called image."""
    texts = {key: text for key, text in data.items() if isinstance(text, str)} if isinstance(data, dict) else {}
    paths = [PurePosixPath(text.split("?d=")[-1].split("?")[0]) for text in texts.values()]
    images = [text for text, path in zip(texts.values(), paths, strict=True) if is_photograph(path.name)]
    return texts.get("image") or (images[0] if len(images) == 1 else None)


def _results(text: str, task: dict) -> list[dict]:
    """What the one annotation of a task says."""
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        raise UnusableError("unreadable_label", f"{text} has no list of annotations: export it as JSON")
    counted = [each for each in annotations if not (each.get("was_cancelled") or each.get("skipped"))]
    counted = [each for each in counted if each.get("ground_truth")] or counted
    if not counted:
        raise UnusableError("missing_mask", f"{text} has not been annotated: label it or remove the photograph")
    if len(counted) > 1:
        raise UnusableError(
            "unreadable_label", f"{text} was annotated {len(counted)} times: keep or mark one annotation"
        )
    results = counted[0].get("result")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise UnusableError("unreadable_label", f"{text} has no list of results: export it again")
    return results


def _size(text: str, results: list[dict]) -> tuple[int, int] | None:
    sizes = {positive_size(result.get("original_height"), result.get("original_width")) for result in results} - {None}
    if len(sizes) > 1:
        raise UnusableError("size_mismatch", f"{text} was annotated at several sizes: label it again")
    return next(iter(sizes), None)


def _annotations(text: str, results: list[dict]) -> Iterator[Annotation]:
    """A region may have its shape and its classes in two results of one id."""
    regions = [result for result in results if result.get("type") not in _NO_REGIONS]
    labels, drawn = defaultdict(list), set()
    for result in regions:
        if not isinstance(result.get("value"), dict):
            raise UnusableError("unreadable_label", f"{text} has a region without its value: export it again")
        labels[_number(result)] += _labels(result["value"])
    for result in regions:
        value, number = result["value"], _number(result)
        if number in drawn or ("labels" in value and not any(field in value for field in _GEOMETRY)):
            continue
        own = labels[number] if number else _labels(value)
        drawn |= {number} - {None}
        if not own:
            raise UnusableError("unknown_class", f"{text} has a region without a class: give it one in Label Studio")
        yield Annotation(tuple(dict.fromkeys(own)), _drawing(result, value))


def _number(result: dict) -> str | None:
    """What two results of one region have in common."""
    number = result.get("id")
    return number if isinstance(number, str) and number else None


def _labels(value: dict) -> list[ClassLabel]:
    listed = [names for key, names in value.items() if key.endswith("labels") and isinstance(names, list)]
    return [class_label(name) for names in listed for name in names if isinstance(name, str) and name.strip()]


def _drawing(result: dict, value: dict) -> Drawing:
    size = positive_size(result.get("original_height"), result.get("original_width"))
    if size is None:
        return Undrawable("unreadable_label", "has a region without original_width or original_height: export it again")
    if result.get("image_rotation"):
        return Undrawable("unreadable_label", "was labelled on a turned view: turn it back in Label Studio")
    if "rle" in value:
        return _brush(value["rle"], size)
    if "points" in value and value.get("closed", True):
        outline = outline_of(value["points"])
        return (
            outline if isinstance(outline, Undrawable) else outline._replace(points=outline.points / 100, shares=True)
        )
    fields = ("x", "y", "radiusX", "radiusY") if "radiusX" in value else ("x", "y", "width", "height")
    draw = ellipse if "radiusX" in value else rectangle
    try:
        # Shares of both sides, in percent, and a turn that keeps angles in pixels.
        numbers = np.array([value[field] for field in fields], np.float64) * (size[::-1] * 2) / 100
        x, y, across, down = numbers.tolist()
        return draw(x, y, across, down, float(np.radians(float(value.get("rotation") or 0))))
    except (KeyError, TypeError, ValueError, OverflowError):
        return Undrawable("polygon", "has corrosion drawn as a shape that is not known: draw it as a polygon")


def _brush(runs: object, size: tuple[int, int]) -> Drawing:
    try:
        return Brush(*size, bytes(runs if isinstance(runs, list) else ()))
    except (TypeError, ValueError):
        return Undrawable("unreadable_label", "has a brush whose run lengths are no bytes: export it again")
