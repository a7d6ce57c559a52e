"""Finding photographs and labels below a folder: names, splits and paths. No file is opened here."""

import functools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.data.prepare.source import Finding, LabelledPhotograph, UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.errors import InputError
from spotrust_jax.io import image_files
from spotrust_jax.io.display import escaped
from spotrust_jax.io.image_files import distinct_names, is_photograph, leads_up, without_originals

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages")
"""What folders of photographs are called, in lower case."""

MASK_FOLDERS = ("masks", "mask", "ann_dir", "segmentationclass")
"""What folders of masks are called, in lower case."""


class Reading(NamedTuple):
    """What a reader found: photographs whose label can be read, and what is wrong with the others."""

    photographs: list[LabelledPhotograph]
    findings: list[Finding]


class Layout(NamedTuple):
    """Two folders whose files belong together by their names."""

    images: Path
    labels: Path
    split: str | None


class Pair(NamedTuple):
    """A photograph and the file that holds its label."""

    image: Path
    label: Path
    split: str | None


def name_of(root: Path, image: Path) -> str:
    """A photograph's name: its path below the source, without extension and without folders that hold all images.

    Bytes that are no UTF-8, ends of lines and backslashes stand as in addresses, `caf%E9`.
    """
    *folders, _ = Path(relative(root, image)).parts
    name = "/".join([*(folder for folder in folders if folder.casefold() not in IMAGE_FOLDERS), image.stem])
    # A backslash separates folders on other systems.
    return composed(escaped(name).replace("\\", "%5C"))


def composed(text: str) -> str:
    """Text whose accents are part of their letters: file systems and programs differ in this."""
    return unicodedata.normalize("NFC", text)


def relative(root: Path, path: Path) -> str:
    """Path below `root`, with forward slashes."""
    return Path(os.path.relpath(path, root)).as_posix()


def split_within(name: str) -> str | None:
    """The split that is one of a file name's words, as in `instances_train2017`."""
    return next((split for word in re.findall("[a-z]+", name.casefold()) if (split := split_named(word))), None)


def photographs_below(folder: Path) -> list[Path]:
    """All photographs in and below a folder, in the order of their paths, also those that nothing can read."""
    return without_originals(image_files.files_below(folder, is_photograph, _refuse))


def files_below(folder: Path, extensions: Iterable[str]) -> list[Path]:
    """Files with one of the lower-case extensions in and below a folder, in the order of their paths, none hidden.

    What is no regular file, such as a pipe, is not among them: reading it might never end.
    """
    extensions = frozenset(extensions)

    def wanted(name: str) -> bool:
        return Path(name).suffix.lower() in extensions and not name.startswith(".")

    return [file for file in image_files.files_below(folder, wanted, _refuse) if file.is_file()]


def given_splits(root: Path) -> set[str]:
    """The splits that folders with photographs, and tables, below the source are named after."""
    folders = {folder for file in photographs_below(root) for folder in Path(relative(root, file)).parts[:-1]}
    tables = {split_within(file.stem) for file in files_below(root, {".tsv"})}
    return {split for split in {split_named(folder) for folder in folders} | tables if split}


def layouts(root: Path, label_folders: tuple[str, ...]) -> list[Layout]:
    """The folders of images beside one of the label folders, in `root` and in its folders named after splits."""
    below = [part for part in sorted(root.iterdir()) if part.is_dir() and not leads_up(part, root)]
    parts = [(root, None)] + [(part, split_named(part.name)) for part in below]
    found = [
        Layout(images, _called(part, label_folders) or part / label_folders[0], split)
        for part, split in parts
        if (split or part == root) and (images := _called(part, IMAGE_FOLDERS))
    ]
    # A part without labels is kept, so that its photographs are missed.
    return found if any(layout.labels.is_dir() for layout in found) else []


def paired(root: Path, layout: Layout, extensions: Collection[str], what: str) -> tuple[list[Pair], list[Finding]]:
    """Photographs and labels with the same path below their folders, and what has no partner or too many.

    `what` says in a finding what a label is here. Splits may also be folders below images/.
    """
    images = _by_stem(layout.images, photographs_below)
    labels = defaultdict(list)
    for stem, files in _by_stem(layout.labels, functools.partial(files_below, extensions=extensions)).items():
        labels[_without_suffix(stem, images)] += files
    pairs, findings = [], []
    for stem in sorted(images.keys() | labels.keys()):
        of_stem, label = images.get(stem, []), labels.get(stem, [])
        if len(of_stem) > 1:
            findings += [_doubled(root, file, of_stem) for file in of_stem]
        elif len(label) > 1:
            findings.append(_doubled(root, label[0], label))
        elif not label:
            expected = f"{relative(root, layout.labels)}/{stem}"
            only = next(iter(extensions)) if len(extensions) == 1 else ""
            findings.append(missing_label(root, of_stem[0], f"no {what} {expected}{only}"))
        elif not of_stem:
            findings.append(missing_image(root, label[0], f"{relative(root, layout.images)}/{stem}"))
        else:
            pairs.append(Pair(of_stem[0], label[0], layout.split or split_named(stem.split("/")[0])))
    return pairs, findings


def missing_label(root: Path, image: Path, reason: str) -> Finding:
    """The finding for a photograph without a label; `reason` says what is not there."""
    file = relative(root, image)
    return Finding("missing_mask", file, f"{file} has {reason}: label it or remove the photograph", True)


def missing_image(root: Path, label: Path, expected: str) -> Finding:
    """The finding for a label without a photograph."""
    file = relative(root, label)
    reason = f"{file} is the label of {expected}, which is not there"
    return Finding("missing_image", file, f"{reason}: add the photograph or remove the label", True)


def unlabelled(root: Path, folders: Iterable[Path], known: Iterable[Path], reason: str) -> list[Finding]:
    """Findings for the photographs of these folders, not below them, that are not known."""
    paths = {os.path.abspath(file) for file in known}
    files = {os.path.abspath(file): file for folder in folders for file in photographs_in(folder)}
    return [missing_label(root, file, reason) for path, file in sorted(files.items()) if path not in paths]


def unique(root: Path, photographs: list[LabelledPhotograph]) -> Reading:
    """The photographs that are labelled once, each with a name of its own, and findings for the others.

    Where several would have one name, such as `a.jpg` and `a.png`, theirs are the whole paths.
    """
    labels = Counter(photograph.image for photograph in photographs)
    once = [photograph for photograph in photographs if labels[photograph.image] == 1]
    whole = [composed(relative(root, photograph.image)) for photograph in once]
    names = distinct_names([photograph.name for photograph in once], whole)
    named = [photograph._replace(name=name) for photograph, name in zip(once, names, strict=True)]
    return Reading(named, [_labelled_again(root, image) for image, count in labels.items() if count > 1])


def located(root: Path, folder: Path, text: str) -> Path | None:
    """The file that a table or a label in `folder` names, or None; an `UnusableError` where it lies outside `root`."""
    inside = False
    for variant in dict.fromkeys((text, text.replace("\\", "/"))):  # labelled on Windows
        path = Path(os.path.normpath(folder / variant))
        if Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
            inside = True
            if file := _existing(path):
                return file
    if not inside:
        remedy = "copy the file into the source and name it by a path relative to the table or label"
        raise UnusableError("outside_source", f"{text!r} lies outside {root}: {remedy}")
    return None


def _called(part: Path, names: tuple[str, ...]) -> Path | None:
    """The folder in `part` that has the first of these names, in whatever case."""
    folders = {folder.name.casefold(): folder for folder in sorted(part.iterdir()) if folder.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _without_suffix(stem: str, images: Container[str]) -> str:
    """The stem of the photograph that a label is of: its own, or that without `_mask`."""
    shorter = re.sub(r"[-_. ]masks?$", "", stem, flags=re.IGNORECASE)
    return shorter if stem not in images and shorter in images else stem


def _existing(path: Path) -> Path | None:
    """The file, also where its folder spells accents in the other of Unicode's two ways."""
    if os.path.isfile(path):
        return path
    if path.name.isascii() or not os.path.isdir(path.parent):
        return None
    files = sorted(path.parent.iterdir())
    return next((file for file in files if composed(file.name) == composed(path.name)), None)


def _refuse(error: OSError) -> None:
    raise InputError(f"folder {error.filename} cannot be read ({error.strerror}): check its permissions") from error


def _by_stem(folder: Path, below: Callable[[Path], list[Path]]) -> dict[str, list[Path]]:
    """What `below` finds, by the path below the folder, without extension."""
    files = defaultdict(list)
    for file in below(folder) if folder.is_dir() else ():
        stem = Path(relative(folder, file.parent), file.stem).as_posix()
        files[composed(stem)].append(file)
    return files


def photographs_in(folder: Path) -> list[Path]:
    """The photographs in a folder, not below it."""
    return without_originals(file for file in folder.iterdir() if is_photograph(file.name) and not file.is_dir())


def _labelled_again(root: Path, image: Path) -> Finding:
    name = relative(root, image)
    return Finding("duplicate_name", name, f"{name} is labelled more than once: remove one of the labels", True)


def _doubled(root: Path, file: Path, files: list[Path]) -> Finding:
    name = relative(root, file)
    listed = " and ".join(sorted(relative(root, each) for each in files))
    return Finding("duplicate_name", name, f"{listed} have one name: rename or remove one of them", True)
