"""What a reader makes of a folder of labelled photographs, whatever tool labelled them.

Readers are in data/prepare/readers/; what is done with a source (audit, splits, writing) is in their own modules.
"""

from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.errors import InputError
from spotrust_jax.io.images import read_image

FindingKind = Literal[
    "unreadable_image",  # missing, empty, truncated, damaged, too large: the photograph cannot be used
    "missing_mask",
    "missing_image",
    "unreadable_label",
    "size_mismatch",
    "palette",  # a mask has values or colours that are no class
    "jpeg_mask",  # a mask was saved as JPEG; its colours were taken to the nearest class
    "polygon",  # fewer than three points, or outside the image
    "unknown_class",
    "duplicate_name",
    "outside_source",  # a file that a table names lies outside the source
    "table",  # a row or an entry of a table cannot be understood
    "matched_by_name",  # a label and its photograph have nothing but the file name in common
    "near_duplicate",  # near-duplicates in one split
    "leak",  # near-duplicates in different splits
    "no_corrosion",  # a split without any corroded pixel, or with nothing else
    "empty_split",  # a split that the source has, and of which no photograph can be used
]


class Finding(NamedTuple):
    """One thing that is wrong with a source, or worth knowing before training on it."""

    kind: FindingKind
    # Path relative to the source, with forward slashes, or the photograph's name.
    file: str
    # One line: what it is, and the remedy.
    message: str
    # Whether the photograph was left out because of it.
    left_out: bool


def empty_split(split: str) -> Finding:
    """The finding for a split that stays empty, since given splits are not made anew."""
    message = f"split {split} of the source has no photograph that can be used: mend those of it that are listed"
    return Finding("empty_split", split, message, False)


class UnusableError(InputError):
    """A photograph or its label cannot be used, for a reason that a finding can name."""

    def __init__(self, kind: FindingKind, message: str):
        super().__init__(message)
        self.kind: FindingKind = kind


TakenAs = Literal["corrosion", "background", "ignored"]


class ClassPixels(NamedTuple):
    """A class or value as the source calls it, what it was taken as, and how many pixels it has."""

    name: str
    taken_as: TakenAs
    pixels: int


class LabelMask(NamedTuple):
    """A label as pixels, true where there is corrosion, and what was noteworthy about it."""

    mask: Bool[np.ndarray, "height width"]
    findings: tuple[Finding, ...] = ()
    # True where the class is unknown, such as Pascal VOC's void borders; never where there is corrosion.
    ignored: Bool[np.ndarray, "height width"] | None = None
    # Where classes overlap, each counts the pixels that it covers.
    classes: tuple[ClassPixels, ...] = ()


@runtime_checkable
class Label(Protocol):
    """A label that has not been read yet."""

    def read(self, height: int, width: int) -> LabelMask:
        """The label of a photograph of this size, upright; an `UnusableError` where it cannot be used.

        A label that has a size of its own is returned at that size, for the caller to compare.
        """
        ...


class LabelledPhotograph(NamedTuple):
    """One photograph of a source: `name` is text and unique (`09`, `089` and `090` are three names)."""

    name: str
    image: Path
    label: Label
    # Where the source says so.
    split: str | None = None
    group: str | None = None
    site: str = ""

    def read(self, max_pixels: int) -> UInt8[np.ndarray, "height width 3"]:
        """The photograph upright, as `images.read_image` gives it, and with its errors."""
        return read_image(self.image, max_pixels=max_pixels)


class Source(NamedTuple):
    """All photographs of a source that have a label, and what was found wrong on the way."""

    root: Path
    format: str
    photographs: tuple[LabelledPhotograph, ...]
    findings: tuple[Finding, ...] = ()
