"""Folders images/ and masks/, also one pair for each split, or as CVAT and Pascal VOC call them."""

from collections import defaultdict
from pathlib import Path

from spotrust_jax.data.prepare.readers.listing import (
    MASK_FOLDERS,
    Pair,
    Reading,
    composed,
    layouts,
    name_of,
    paired,
    relative,
)
from spotrust_jax.data.prepare.readers.mask_values import MaskLabel, mask_rule
from spotrust_jax.data.prepare.source import LabelledPhotograph
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import IMAGE_EXTENSIONS

LOOKED_FOR = "images/ and masks/ with the same file names"


def found(root: Path) -> bool:
    """Whether there are folders with photographs and masks."""
    return bool(layouts(root, MASK_FOLDERS))


def read(root: Path, corrosion_classes: tuple[str, ...], max_pixels: int) -> Reading:
    """Photographs and masks of the same stems; `mask_rule` says what is corrosion.

    Splits are the folders' or those of the lists in ImageSets/Segmentation, as Pascal VOC has them.
    """
    parts = layouts(root, MASK_FOLDERS)
    if not parts:
        raise InputError(f"{root} has no folders images and masks: put photographs and masks there, or give --format")
    rule, findings = mask_rule(root, corrosion_classes)
    listed = _listed_splits(root / "ImageSets" / "Segmentation")
    photographs = []
    for part in parts:
        pairs, problems = paired(root, part, sorted(IMAGE_EXTENSIONS), "mask")
        photographs += [
            _photograph(root, pair, MaskLabel(pair.label, relative(root, pair.label), rule, max_pixels), listed)
            for pair in pairs
        ]
        findings += problems
    return Reading(photographs, findings)


def _photograph(root: Path, pair: Pair, label: MaskLabel, listed: dict[str, str]) -> LabelledPhotograph:
    name = name_of(root, pair.image)
    return LabelledPhotograph(name, pair.image, label, pair.split or listed.get(name))


def _listed_splits(folder: Path) -> dict[str, str]:
    """The split of each photograph that a list named after one has, and no other; a list has a name a line."""
    splits = defaultdict(set)
    for file in sorted(folder.glob("*.txt")):
        if split := split_named(file.stem):
            for name in file.read_text("utf-8-sig", errors="replace").splitlines():
                splits[composed(name.strip())].add(split)
    return {name: found.pop() for name, found in splits.items() if len(found) == 1}
