"""Which photograph goes into which split: as the source says, by ratio, or in folds; groups are never split.

Depends on names, groups and the seed alone, never on the order of files.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from spotrust_jax.data.splits import SPLITS
from spotrust_jax.errors import InputError


class Candidate(NamedTuple):
    """What splits are assigned by. `split` is the source's, `corroded` says whether there is any corrosion."""

    name: str
    group: str
    split: str | None
    corroded: bool


class _Group(NamedTuple):
    name: str
    members: tuple[Candidate, ...]
    corroded: bool


def split_order(split: str) -> tuple[int, int, str]:
    """Sort key: folds by number or train first, then validation, test and what is out of distribution."""
    return (SPLITS.index(split) if split in SPLITS else -1, len(split), split)


TRAIN_SHARE, TEST_SHARE = 0.6, 0.2
"""Of the photographs, by default; what is left is for validation. The paper has 0.6 and 0, its test set being apart."""


def check_shares(folds: int, train_share: float, test_share: float) -> None:
    """Raises an `InputError` for shares or folds that make no splits."""
    if not 0 < train_share < 1:
        raise InputError(f"--train_share={train_share} is not between 0 and 1: 0.6 puts six in ten into training")
    if not 0 <= test_share < 1 - train_share:
        reason = f"--test_share={test_share} leaves none for validation beside --train_share={train_share}"
        raise InputError(f"{reason}: give 0 or more, and less than {1 - train_share:g}")
    if folds < 0 or folds == 1:
        raise InputError(f"--folds={folds} cannot be made: give 2 or more, or 0 for train and validation")


def names_to_split(candidates: Sequence[Candidate], folds: int) -> set[str]:
    """Names of those that the source does not place for good.

    With folds these are all but the test split's, otherwise those without a split.
    """
    return {candidate.name for candidate in candidates if (candidate.split != "test" if folds else not candidate.split)}


def assign_splits(
    candidates: Iterable[Candidate],
    *,
    folds: int = 0,
    train_share: float = TRAIN_SHARE,
    test_share: float = TEST_SHARE,
    seed: int = 0,
) -> dict[str, str]:
    """The split of each candidate by name: train, validation and test, or fold_0 to fold_K with K + 1 = `folds`.

    No group is split; the numbers of photographs, and among them of those with corrosion, are as close to the shares
    as dealing the groups one by one, the largest first, gets them, and none is 0. The seed decides between groups of
    one size. A share of 0 makes no test split.

    Raises:
        InputError: for shares that leave nothing for training or validation, one fold, or fewer groups than splits.
    """
    check_shares(folds, train_share, test_share)
    groups = _grouped(candidates)
    shares = _shares(len(groups), folds, train_share, test_share)
    return {member.name: split for group, split in _assigned(groups, shares, seed) for member in group.members}


def _grouped(candidates: Iterable[Candidate]) -> list[_Group]:
    members: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        members[candidate.group].append(candidate)
    return [_Group(name, tuple(of), any(member.corroded for member in of)) for name, of in members.items()]


def _shares(groups: int, folds: int, train_share: float, test_share: float) -> dict[str, float]:
    wanted, remedy = f"{folds} folds", "take more photographs, or name fewer groups in splits.csv"
    shares = {f"fold_{fold}": 1 / folds for fold in range(folds)}
    if not folds:
        wanted = "train, validation and test" if test_share else "train and validation"
        remedy += ", or make no test split (--test_share=0)" if test_share else ""
        shares = {"train": train_share, "validation": 1 - train_share - test_share}
        shares |= {"test": test_share} if test_share else {}
    if groups < len(shares):
        raise InputError(f"{groups} group(s) of photographs cannot be split into {wanted}: {remedy}")
    return shares


def _assigned(groups: Sequence[_Group], shares: Mapping[str, float], seed: int) -> Iterable[tuple[_Group, str]]:
    """Each group to the split that then lacks most, in photographs of its kind and in all; the last to empty ones."""
    filled, seen = Counter(), Counter()
    order = sorted(groups, key=lambda group: (-len(group.members), not group.corroded, _shuffled(group, seed)))
    for dealt, group in enumerate(order):
        kinds = ("all", group.corroded)
        seen.update(dict.fromkeys(kinds, len(group.members)))
        lacks = {split: sum(share * seen[k] - filled[split, k] for k in kinds) for split, share in shares.items()}
        empty = [split for split in shares if not filled[split, "all"]]
        split = max(empty if len(order) - dealt == len(empty) else shares, key=lacks.__getitem__)
        filled.update({(split, kind): len(group.members) for kind in kinds})
        yield group, split


def _shuffled(group: _Group, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{group.name}".encode("utf-8", "surrogateescape")).digest()
