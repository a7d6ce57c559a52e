"""Names of splits, and which of them are meant by train and validation where a data set is divided into folds.

How photographs are divided is not decided here.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

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
"""In place of a fold's number: the data set is not divided into folds."""


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
        raise InputError(f"data set {path} is divided into folds and has no split {split}: {remedy}, or name a fold")
    validating = f"fold_{fold}"
    return [validating] if split == "validation" else [name for name in folds if name != validating]


def _check_fold(folds: Iterable[str], fold: int, path: Path) -> None:
    if not folds:
        raise InputError(f"data set {path} is not divided into folds: leave config.data.fold at {NO_FOLD}")
    if f"fold_{fold}" not in folds:
        raise InputError(f"data set {path} has no fold {fold}: use one of {', '.join(folds)}")
