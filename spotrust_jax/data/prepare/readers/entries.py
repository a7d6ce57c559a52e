"""What readers of drawn labels share: entries, one for each photograph that a file labels, become photographs.

How a format writes its entries is in its own module.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.data.prepare.readers.classes import ClassLabel, corrosion_classes_of, in_order
from spotrust_jax.data.prepare.readers.drawings import Annotation, DrawnLabel, Undrawable
from spotrust_jax.data.prepare.readers.embedded import EmbeddedPhotograph, stores_image
from spotrust_jax.data.prepare.readers.listing import Reading, name_of, relative, unlabelled
from spotrust_jax.data.prepare.readers.lookup import Wanted, matched_by_name_alone, photographs_meant
from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.io.image_files import is_photograph


class Entry(NamedTuple):
    """What a label file says about one photograph."""

    file: Path
    # The photograph as the file names it.
    image: str
    annotations: tuple[Annotation, ...] = ()
    # Height and width, where the file says them.
    size: tuple[int, int] | None = None
    # That of the file, where it has one.
    split: str | None = None
    # Why the photograph must not be used, where an annotation cannot be assigned.
    problem: UnusableError | None = None
    # Whether the photograph is stored in the file.
    embedded: bool = False
    # Whether the file labels no other photograph, and findings therefore name the file.
    alone: bool = False


def photographs_of(
    root: Path,
    entries: Sequence[Entry],
    corrosion_classes: tuple[str, ...],
    declared: Iterable[ClassLabel] = (),
    findings: Sequence[Finding] = (),
) -> Reading:
    """The photographs that the entries label, and what is wrong with the others, beside the `findings` so far.

    `declared` are classes of the files, also such as no annotation has. A photograph is left out where one annotation
    cannot be assigned, or one of corrosion not drawn. Photographs beside those that are labelled are missed.
    """
    used = {label for entry in entries for each in entry.annotations for label in each.labels}
    existing = in_order(used.union(declared))
    chosen = corrosion_classes_of(existing, corrosion_classes, root)
    wishes = [Wanted(entry.file.parent, entry.image, entry.split) for entry in entries]
    images = photographs_meant(root, wishes)
    photographs, found, by_name = [], list(findings), defaultdict(list)
    for entry, wish, image in zip(entries, wishes, images, strict=True):
        try:
            photographs.append(_photograph(root, entry, image, existing, chosen))
            if isinstance(image, Path) and matched_by_name_alone(root, wish, image):
                by_name[entry.file].append(image)
        except UnusableError as error:
            found.append(_finding(root, entry, image, error))
    found += [_matched_by_name(root, *matched) for matched in by_name.items()]
    labelled = [image for image in images if isinstance(image, Path)]
    folders = {image.parent for image in labelled} | {root / Path(finding.file).parent for finding in findings}
    known = [*labelled, *(root / finding.file for finding in findings)]
    missed = unlabelled(root, folders, known, "no label file that names it")
    broken = {Path(finding.file).with_suffix("") for finding in findings if not is_photograph(finding.file)}
    found += [finding for finding in missed if Path(finding.file).with_suffix("") not in broken]
    return Reading(photographs, found)


def _photograph(
    root: Path,
    entry: Entry,
    image: Path | UnusableError,
    existing: tuple[ClassLabel, ...],
    chosen: frozenset[ClassLabel],
) -> LabelledPhotograph:
    if isinstance(image, Path):
        path, kind = image, LabelledPhotograph
    elif entry.embedded and stores_image(entry.file):
        path, kind = entry.file, EmbeddedPhotograph
    else:
        raise image
    if entry.problem:
        raise entry.problem
    file = relative(root, entry.file if entry.alone else path)
    for each in entry.annotations:
        if isinstance(each.drawing, Undrawable) and chosen.intersection(each.labels):
            raise UnusableError(each.drawing.kind, f"{file} {each.drawing.reason}")
    split = entry.split or next(filter(None, map(split_named, relative(root, path).split("/")[:-1])), None)
    label = DrawnLabel(file, entry.annotations, existing, chosen, entry.size)
    return kind(name_of(root, path), path, label, split)


def _matched_by_name(root: Path, file: Path, images: Sequence[Path]) -> Finding:
    name, more = relative(root, file), f" and {len(images) - 1} more" if len(images) > 1 else ""
    reason = f"{name} was matched to {relative(root, images[0])}{more} by the file name alone"
    return Finding("matched_by_name", name, f"{reason}: check that they belong together", False)


def _finding(root: Path, entry: Entry, image: Path | UnusableError, error: UnusableError) -> Finding:
    """An entry that cannot be used, by its photograph where that is there."""
    file = relative(root, entry.file)
    place = relative(root, image) if isinstance(image, Path) else file if entry.alone else entry.image
    message = str(error) if file in str(error) else f"{file}: {error}"
    return Finding(error.kind, place, message, True)
