"""Folders called ignored: masks of the pixels whose class is unknown, for sources of every format."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from spotrust_jax.data.prepare.readers.listing import Reading, missing_image, name_of, photographs_below, relative
from spotrust_jax.data.prepare.source import ClassPixels, Finding, Label, LabelMask, UnusableError
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import mask_limit, read_mask, size_text

FOLDER = "ignored"


@dataclass(frozen=True)
class IgnoringLabel:
    """A label with a mask of pixels that do not count; `file` is that mask's path as findings name it."""

    label: Label
    path: Path
    file: str

    def read(self, height: int, width: int) -> LabelMask:
        """The label without what is ignored; an `UnusableError` where either mask cannot be used."""
        read = self.label.read(height, width)
        try:
            ignored = read_mask(self.path, max_pixels=mask_limit((height, width)))
        except InputError as error:
            raise UnusableError("unreadable_label", str(error)) from error
        if ignored.shape != read.mask.shape:
            sizes = f"{size_text(ignored.shape)} pixels, the label {size_text(read.mask.shape)} (width x height)"
            raise UnusableError("size_mismatch", f"{self.file} has {sizes}: export it at the size of the photograph")
        classes = (*read.classes, ClassPixels(f"{FOLDER}/", "ignored", int(ignored.sum())))
        if read.ignored is not None:
            ignored |= read.ignored
        return read._replace(mask=read.mask & ~ignored, ignored=ignored, classes=classes)


def with_ignored(root: Path, reading: Reading) -> Reading:
    """The photographs with what is ignored of them, and findings for masks that belong to none or are several.

    The mask of `train/images/a.jpg` is `train/ignored/a.png`, that of `images/train/a.jpg` is `ignored/train/a.png`.
    """
    masks = defaultdict(list)
    for file in photographs_below(root):
        if FOLDER in map(str.casefold, Path(relative(root, file)).parts[:-1]):
            masks[_name(root, file)].append(file)
    if not masks:
        return reading
    kept, findings = [], list(reading.findings)
    for photograph in reading.photographs:
        of_photograph = masks.get(name_of(root, photograph.image), [])
        if len(of_photograph) > 1:
            listed = " and ".join(relative(root, mask) for mask in of_photograph)
            message = f"{listed} say what is ignored of {photograph.name}: remove one of them"
            findings.append(Finding("duplicate_name", relative(root, of_photograph[0]), message, True))
            continue
        for mask in of_photograph:
            label = IgnoringLabel(photograph.label, mask, relative(root, mask))
            photograph = photograph._replace(label=label)
        kept.append(photograph)
    known = {name_of(root, image) for image in photographs_below(root)}
    alone = [mask for name, of_name in masks.items() if name not in known for mask in of_name]
    return Reading(kept, findings + [missing_image(root, mask, _name(root, mask)) for mask in alone])


def _name(root: Path, mask: Path) -> str:
    return "/".join(folder for folder in name_of(root, mask).split("/") if folder.casefold() != FOLDER)
