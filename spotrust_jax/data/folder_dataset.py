"""A data set on disk: a folder with images/, masks/ and perhaps ignored/ and splits.csv.

Single files are read in images.py; resizing, augmentation and batches come later, in the input pipeline.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from spotrust_jax.data.example import Example
from spotrust_jax.data.splits import (
    NO_FOLD,
    NO_TEST,
    SPLITS,
    TABLE,
    chosen_splits,
    has_split_table,
    is_split,
    read_split_table,
    split_named,
)
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import IMAGE_EXTENSIONS, files_below, is_photograph, without_originals
from spotrust_jax.io.images import mask_limit, read_image, read_mask, size_text

_TRAIN_SHARE = 0.6  # of the paper: 280 images were split 6:4


class FolderDataset:
    """The labelled photographs of one split, in the order of their names, read when asked for.

    `path` holds images/ and masks/ with the same paths below them, but for the extensions, and, where pixels are not
    to be scored, ignored/ with masks of these for any of the photographs. Where the user has one, there is splits.csv
    with the columns `name` (that path, as text), `split` and perhaps `group` (what must not be split, the name itself
    where there is none) and `site`.

    `split` is one of that table's, or "all". Where the table has fold_0, fold_1, ... in place of train and validation,
    "validation" is the one with the number `fold`, and "train" all others. Without splits.csv the folders train, val
    and test below images/ are the splits; without these six in ten photographs, chosen by a hash of their names, are
    for training and the others for validation. Masks without a photograph are not used.

    Whatever can be seen without decoding an image is checked here: an `InputError` names the file and the remedy.
    """

    def __init__(self, path: str | Path, split: str, fold: int = NO_FOLD):
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"data set {path} does not exist or is not a folder: check the path")
        self._images = _files_by_name(path / "images")
        self._masks = _files_by_name(path / "masks")
        self._ignored = _ignored_by_name(path)
        if not self._images:
            extensions = ", ".join(sorted(IMAGE_EXTENSIONS))
            raise InputError(f"{path / 'images'} has no photographs: put files there that end in {extensions}")
        if missing := self._images.keys() - self._masks.keys():
            raise InputError(f"{path / 'masks'} has no mask for {_listed(missing)}: add it or remove the photograph")
        if alone := self._ignored.keys() - self._images.keys():
            remedy = "name it as its photograph, or remove it"
            raise InputError(f"{path / 'ignored'} has a mask for {_listed(alone)}, not found in images: {remedy}")
        self._entries = _entries(path, self._images, split)
        sizes = Counter(entry.split for entry in self._entries.values())
        splits = chosen_splits(sizes, split, fold, path)
        self.names = tuple(sorted(name for name, entry in self._entries.items() if entry.split in splits))
        self.sites = tuple(self._entries[name].site for name in self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        name = self.names[index]
        image = read_image(self._images[name])
        mask = self._read_label(self._masks[name], name, image.shape[:2])
        ignored = self._ignored.get(name)
        ignored = ignored and self._read_label(ignored, name, image.shape[:2])
        return Example(name, image, mask, self._entries[name].group, ignored)

    def _read_label(self, path: Path, name: str, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        mask = read_mask(path, max_pixels=mask_limit(shape))
        if mask.shape != shape:
            sizes = f"{size_text(mask.shape)} pixels, its photograph {self._images[name]} {size_text(shape)}"
            remedy = "export the mask at the size of the photograph as it is shown upright"
            raise InputError(f"mask {path} has {sizes} (width x height): {remedy}")
        return mask

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def given_splits(path: Path, names: Iterable[str]) -> dict[str, str] | None:
    """The split of each photograph in images/ as splits.csv or the folders give it; None where neither does."""
    entries = _checked_table(path / TABLE, set(names)) if has_split_table(path) else _folder_splits(path, names)
    return {name: entry.split for name, entry in entries.items()} or None


class _Entry(NamedTuple):
    split: str
    group: str
    site: str = ""


def _files_by_name(folder: Path) -> dict[str, Path]:
    """Image files in and below a folder, by their paths without extension; hidden ones are those of other programs."""
    files: dict[str, Path] = {}
    for file in without_originals(files_below(folder, is_photograph, _refuse)):
        name = file.relative_to(folder).with_name(file.stem).as_posix()
        if name in files:
            raise InputError(f"{file} and {files[name].name} have one name: rename or remove one of them")
        files[name] = file
    return files


def _ignored_by_name(path: Path) -> dict[str, Path]:
    """What is in the folder ignored/, in whatever case it is written; nothing where there is none."""
    folders = sorted(folder for folder in path.iterdir() if folder.name.casefold() == "ignored" and folder.is_dir())
    if len(folders) > 1:
        raise InputError(f"{path} has the folders {folders[0].name} and {folders[1].name}: put all masks into one")
    return _files_by_name(folders[0]) if folders else {}


def _refuse(error: OSError) -> None:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        layout = "a data set has the folders images and masks, or spotrust prepare_data wrote it for tfds"
        raise InputError(f"folder {error.filename} is missing: {layout}") from None
    raise InputError(f"folder {error.filename} cannot be read ({error.strerror}): check its permissions") from error


def _entries(path: Path, names: Iterable[str], split: str) -> dict[str, _Entry]:
    if has_split_table(path):
        return _checked_table(path / TABLE, set(names))
    if given := _folder_splits(path, names):
        return given
    if split == "test":
        raise InputError(f"data set {path} has no split test: {NO_TEST}")
    return _hashed_split(names)


def _folder_splits(path: Path, names: Iterable[str]) -> dict[str, _Entry]:
    """By the folders below images/ that are named after splits; nothing where there is none but perhaps train."""
    splits = {name: split_named(name.partition("/")[0]) if "/" in name else None for name in names}
    if not set(splits.values()) - {None, "train"}:
        return {}
    if without := [name for name, split in splits.items() if split is None]:
        remedy = f"move them into one, or add {TABLE} (name,split,group)"
        raise InputError(f"{path / 'images'} has {_listed(without)} in no folder of a split, as others are: {remedy}")
    return {name: _Entry(split, name) for name, split in splits.items() if split is not None}


def _hashed_split(names: Iterable[str]) -> dict[str, _Entry]:
    """Six to four by a hash of the name, so that neither the order of the files nor that of their names matters."""
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
    train = round(_TRAIN_SHARE * len(shuffled))
    return {name: _Entry("train" if i < train else "validation", name) for i, name in enumerate(shuffled)}


def _checked_table(table: Path, names: set[str]) -> dict[str, _Entry]:
    """The rows of splits.csv, which name each photograph once and nothing else."""
    entries: dict[str, _Entry] = {}
    for row in read_split_table(table):
        name, split, group = row.name, row.split.strip(), row.group.strip()
        name = name if name in names else name.strip()  # a spreadsheet's spaces, but for those of the file
        if not is_split(split):
            remedy = f"use {', '.join(SPLITS)}, or fold_0, fold_1, ..."
            raise InputError(f"{table} has the split {split!r} for {name!r}: {remedy}")
        if name in entries:
            raise InputError(f"{table} names {name!r} twice: remove one of the rows")
        entries[name] = _Entry(split, group or name, row.site.strip())
    if unknown := entries.keys() - names:
        remedy = "add the photographs or remove the rows (names have no extension, and keep their leading zeros)"
        raise InputError(f"{table} names {_listed(unknown)}, not found in {table.parent / 'images'}: {remedy}")
    if unmentioned := names - entries.keys():
        raise InputError(f"{table} does not name {_listed(unmentioned)}: add a row or remove the photograph")
    return entries


def _listed(names: Iterable[str]) -> str:
    """Up to three names and, where there are more, how many in all."""
    names = sorted(names)
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown}, ... ({len(names)} in all)"
