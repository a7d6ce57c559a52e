"""Roboflow's masks: beside each photograph x.jpg its x_mask.png, whose values _classes.csv names."""

import csv
import io
from pathlib import Path

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label, corrosion_classes_of
from spotrust_jax.data.prepare.readers.listing import (
    Reading,
    composed,
    files_below,
    missing_image,
    missing_label,
    name_of,
    photographs_in,
    relative,
)
from spotrust_jax.data.prepare.readers.mask_values import MaskLabel, numbers_rule
from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError

LOOKED_FOR = "photographs x.jpg beside masks x_mask.png and a _classes.csv"

_CLASSES = "_classes.csv"
_SUFFIX = "_mask"


def found(root: Path) -> bool:
    """Whether there are tables of classes beside masks."""
    return any(_masks(table.parent) for table in _tables(root))


def read(root: Path, corrosion_classes: tuple[str, ...], max_pixels: int) -> Reading:
    """The photographs beside each _classes.csv in and below a folder; the folder's name is the split."""
    tables = _tables(root)
    if not tables:
        raise InputError(f"{root} has no {_CLASSES}: export semantic segmentation masks, or give another --format")
    classes, findings = {}, []
    for table in tables:
        try:
            classes[table.parent] = _classes(root, table)
        except UnusableError as error:
            findings.append(Finding(error.kind, relative(root, table), str(error), True))
    chosen = corrosion_classes_of([label for labels in classes.values() for label in labels], corrosion_classes, root)
    photographs = []
    for folder, labels in classes.items():
        rule = numbers_rule(labels, chosen)
        masks, images = _masks(folder), _photographs(folder)
        findings += [
            missing_label(root, images[stem], f"no mask {stem}{_SUFFIX}.png") for stem in images.keys() - masks
        ]
        findings += [missing_image(root, masks[stem], stem) for stem in masks.keys() - images]
        for stem in sorted(images.keys() & masks):
            label = MaskLabel(masks[stem], relative(root, masks[stem]), rule, max_pixels)
            name = name_of(root, images[stem])
            photographs.append(LabelledPhotograph(name, images[stem], label, split_named(folder.name)))
    return Reading(photographs, findings)


def _tables(root: Path) -> list[Path]:
    return [file for file in files_below(root, {".csv"}) if file.name == _CLASSES]


def _classes(root: Path, table: Path) -> list[ClassLabel]:
    """The classes of a table with the columns Pixel Value and Class."""
    name = relative(root, table)
    try:
        rows = list(csv.reader(io.StringIO(table.read_text("utf-8-sig"))))[1:]
        named = [(int(number), label) for number, label in filter(None, rows)]
    except (OSError, ValueError, csv.Error) as error:
        reason = f"{name} cannot be read ({error})"
        raise UnusableError("unreadable_label", f"{reason}: write the columns Pixel Value, Class") from error
    numbers = [number for number, _ in named]
    if len(set(numbers)) < len(numbers) or min(numbers, default=0) < 0:
        raise UnusableError("unreadable_label", f"{name} gives a value two names, or a negative one: export it again")
    return [class_label(label, number) for number, label in named]


def _masks(folder: Path) -> dict[str, Path]:
    """The masks of a folder by the stems of their photographs."""
    masks = [file for file in photographs_in(folder) if file.stem.endswith(_SUFFIX)]
    return {composed(file.stem).removesuffix(_SUFFIX): file for file in masks}


def _photographs(folder: Path) -> dict[str, Path]:
    return {composed(file.stem): file for file in photographs_in(folder) if not file.stem.endswith(_SUFFIX)}
