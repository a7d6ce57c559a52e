"""Folders images/ and masks/, also one pair for each split."""

from pathlib import Path

from spotrust_jax.data.image_files import IMAGE_EXTENSIONS
from spotrust_jax.data.readers.colours import MaskLabel, mask_rule
from spotrust_jax.data.readers.listing import Pair, Reading, layouts, name_of, paired, relative
from spotrust_jax.data.source import LabelledPhotograph
from spotrust_jax.errors import InputError

LOOKED_FOR = "images/ and masks/ with the same file names"


def found(root: Path) -> bool:
    """Whether there are folders with photographs and masks."""
    return bool(layouts(root, ("masks",)))


def read(root: Path, corrosion_classes: tuple[str, ...], max_pixels: int) -> Reading:
    """Photographs and masks of the same stems; `mask_rule` says what is corrosion."""
    parts = layouts(root, ("masks",))
    if not parts:
        raise InputError(f"{root} has no folders images and masks: put photographs and masks there, or give --format")
    rule, findings = mask_rule(root, corrosion_classes)
    photographs = []
    for part in parts:
        pairs, problems = paired(root, part, sorted(IMAGE_EXTENSIONS), "mask")
        photographs += [
            _photograph(root, pair, MaskLabel(pair.label, relative(root, pair.label), rule, max_pixels))
            for pair in pairs
        ]
        findings += problems
    return Reading(photographs, findings)


def _photograph(root: Path, pair: Pair, label: MaskLabel) -> LabelledPhotograph:
    return LabelledPhotograph(name_of(root, pair.image), pair.image, label, pair.split)
