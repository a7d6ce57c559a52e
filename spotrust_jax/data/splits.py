"""Splits of a data set: their names, which folds train and validate, and the file splits.csv.

prepare/split_assignment.py assigns photographs to splits.
"""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.errors import InputError

SPLITS = ("train", "validation", "test", "out_of_distribution_validation", "out_of_distribution_test")
"""Splits with a fixed meaning; the last two are out of distribution. Folds come beside them."""

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}

NO_TEST = (
    "let prepare_data make one, or add splits.csv (name,split,group); validation is no substitute, "
    "as epoch and threshold are chosen on it"
)
"""What to do where there is no test split."""

NO_FOLD = -1
"""In place of a fold's number: the data set is not split into folds."""


def is_split(name: str) -> bool:
    """Whether a data set may have a split of this name."""
    return name in SPLITS or is_fold(name)


def split_named(word: str) -> str | None:
    """The split that a folder or a table means: "valid" is validation."""
    return _WORDS.get(word.strip().casefold())


def is_fold(name: str) -> bool:
    """Whether the name is that of a fold."""
    return re.fullmatch(r"fold_(0|[1-9]\d*)", name) is not None


def chosen_splits(sizes: Mapping[str, int], split: str, fold: int, path: Path) -> list[str]:
    """Splits on disk that make up `split`, which is one of them, "all", or "train" or "validation" of the fold.

    Args:
        sizes: examples in each split of the data set.
        split: what is asked for.
        fold: number of the fold that validates while all others train, or `NO_FOLD`.
        path: the data set, for messages.

    Raises:
        InputError: for a split or a fold that is not there, or folds none of which is chosen.
    """
    folds = sorted((name for name in sizes if is_fold(name)), key=lambda name: int(name.removeprefix("fold_")))
    if fold != NO_FOLD:
        _check_fold(folds, fold, path)
    if split == "all":
        return list(sizes)
    if split in sizes:
        return [split]
    if split not in ("train", "validation") or not folds:
        existing = ", ".join(f"{name} ({size})" for name, size in sorted(sizes.items()))
        problem = f"data set {path} has no photographs in split {split}"
        raise InputError(
            f"{problem}, only in {existing}: {NO_TEST}"
            if split == "test"
            else f"{problem}: use one of {existing}, or all"
        )
    if fold == NO_FOLD:
        remedy = f"choose the one that validates, config.data.fold=0 to {folds[-1].removeprefix('fold_')}"
        raise InputError(f"data set {path} is split into folds and has no split {split}: {remedy}, or name a fold")
    validating = f"fold_{fold}"
    return [validating] if split == "validation" else [name for name in folds if name != validating]


def _check_fold(folds: Iterable[str], fold: int, path: Path) -> None:
    if not folds:
        raise InputError(f"data set {path} is not split into folds: leave config.data.fold at {NO_FOLD}")
    if f"fold_{fold}" not in folds:
        raise InputError(f"data set {path} has no fold {fold}: use one of {', '.join(folds)}")


TABLE = "splits.csv"


class SplitRow(NamedTuple):
    """A row that is not blank, its cells as they are written."""

    line: int
    name: str
    split: str
    group: str
    site: str = ""


def has_split_table(folder: Path) -> bool:
    """Whether a folder has splits.csv; an `InputError` where it is no file, so that no other splits are made."""
    if os.path.lexists(folder / TABLE) and not (folder / TABLE).is_file():
        raise InputError(f"{folder / TABLE} is no file, but a folder, a pipe or a link to nothing: copy or remove it")
    return (folder / TABLE).is_file()


def read_split_table(table: Path, spaces: str | None = None) -> list[SplitRow]:
    """The rows of splits.csv; a spreadsheet's byte order mark is dropped.

    `spaces` are the characters that headings may be surrounded by and blank cells consist of, by default all that are
    white space. A table that cannot be read, or lacks the columns name and split, is an `InputError`.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip(spaces) for cell in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(cell.strip(spaces) for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read ({error}): save it as comma-separated text in UTF-8") from error
    if not {"name", "split"} <= set(header):
        raise InputError(f"{table} has the columns {header}: its first line must be name,split,group")
    cells = [(line, dict(zip(header, row, strict=False))) for line, row in rows]
    return [SplitRow(line, *(row.get(column, "") for column in SplitRow._fields[1:])) for line, row in cells]
