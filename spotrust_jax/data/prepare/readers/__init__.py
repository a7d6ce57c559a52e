"""Labelled photographs as labelling tools leave them: one reader for each format, and the choice between them.

A reader lists photographs and says what is wrong with single ones; pixels are read later, by each `Label.read`.
"""

from pathlib import Path

from spotrust_jax.data.prepare.readers import coco, cvat, folder, label_studio, labelme, roboflow, tsv, via, yolo
from spotrust_jax.data.prepare.readers.ignored import with_ignored
from spotrust_jax.data.prepare.readers.listing import Reading, given_splits, unique
from spotrust_jax.data.prepare.readers.split_tables import with_splits
from spotrust_jax.data.prepare.source import LabelledPhotograph, Source, empty_split
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import MAX_PIXELS

_MASKS = {"folder": folder, "tsv": tsv, "roboflow": roboflow}
_DRAWN = {"labelme": labelme, "coco": coco, "cvat": cvat, "yolo": yolo, "via": via, "label_studio": label_studio}

FORMATS = ("auto", *_MASKS, *_DRAWN)


def read_source(
    root: Path, format: str = "auto", *, corrosion_classes: tuple[str, ...] = (), max_pixels: int = MAX_PIXELS
) -> Source:
    """The photographs of a source that have a label, in the order of their names, and what is wrong with the others.

    `root` is a folder or a .tsv file. `corrosion_classes` are the names or numbers of the classes that count as
    corrosion; without them those named corrosion or rust do. A splits.csv in the folder gives splits and groups. Masks
    larger than `max_pixels` are refused when their labels are read.

    Raises an `InputError` where nothing can be used: no such source or format, none or several formats recognised, a
    class that does not exist.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format {format!r}: use {', '.join(FORMATS)}")
    if not root.exists():
        raise InputError(f"source {root} does not exist: check the path")
    if root.is_file() and not (root.suffix.lower() == ".tsv" and format in ("auto", "tsv")):
        raise InputError(f"source {root} is a file: give the folder that it lies in, or a .tsv file")
    format = recognised(root) if format == "auto" else format
    wanted = tuple(wish.strip() for wish in corrosion_classes if wish.strip())
    masks = _MASKS.get(format)
    reading = masks.read(root, wanted, max_pixels) if masks else _DRAWN[format].read(root, wanted)
    return _source(root.parent if root.is_file() else root, format, reading)


def recognised(root: Path) -> str:
    """The format of a source; masks go before polygons, which are drawn from them or less exact."""
    if root.is_file():
        return "tsv"
    for readers in (_MASKS, _DRAWN):
        found = [name for name, reader in readers.items() if reader.found(root)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{root} looks like several formats, {' and '.join(found)}: say which with --format")
    looked_for = "; ".join(reader.LOOKED_FOR for reader in (_MASKS | _DRAWN).values())
    raise InputError(f"{root} is in no format that is known: looked for {looked_for}")


def _source(root: Path, format: str, reading: Reading) -> Source:
    photographs, doubled = unique(root, reading.photographs)
    grouped = Reading([_in_group(photograph) for photograph in photographs], reading.findings + doubled)
    used = {photograph.split for photograph in photographs}
    lost = given_splits(root) - used if used != {None} else set()
    if used == {"train"} and not lost:  # a training part alone is not split yet
        grouped = grouped._replace(photographs=[each._replace(split=None) for each in grouped.photographs])
    grouped = grouped._replace(findings=grouped.findings + [empty_split(split) for split in sorted(lost)])
    photographs, findings = with_ignored(root, with_splits(root, grouped))
    if not photographs and not findings:
        raise InputError(f"source {root} has no photographs: check the path, or say with --format how it is labelled")
    photographs = sorted(photographs, key=lambda photograph: photograph.name)
    return Source(root, format, tuple(photographs), tuple(sorted(findings, key=lambda finding: finding.file)))


def _in_group(photograph: LabelledPhotograph) -> LabelledPhotograph:
    """Roboflow's augmented copies `IMG_1_jpg.rf.HASH` of one photograph stay together, in whichever split they are."""
    source, mark, _ = photograph.name.partition(".rf.")
    group = "/".join(folder for folder in source.split("/") if not split_named(folder))
    return photograph._replace(group=group) if mark else photograph
