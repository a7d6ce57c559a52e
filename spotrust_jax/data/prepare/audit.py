"""What is in a source and what is wrong with it: every photograph decoded once, with its label, before any training.

Readers find what is wrong with files and tables, split_assignment.py makes splits, audit_report.py prints.
"""

import contextlib
import functools
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64
from PIL import Image
from tqdm import tqdm

from spotrust_jax.data.card import is_text
from spotrust_jax.data.prepare.near_duplicates import joined_groups, perceptual_hashes, similar_pairs
from spotrust_jax.data.prepare.source import (
    ClassPixels,
    Finding,
    FindingKind,
    LabelledPhotograph,
    LabelMask,
    Source,
    TakenAs,
    UnusableError,
    empty_split,
)
from spotrust_jax.data.prepare.split_assignment import (
    TEST_SHARE,
    TRAIN_SHARE,
    Candidate,
    assign_splits,
    names_to_split,
    split_order,
)
from spotrust_jax.data.splits import is_split
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_errors import TooLargeError
from spotrust_jax.io.images import MAX_PIXELS, orientation, size_text, without_pillow_limit

_THREADS = 2  # decoding releases the interpreter's lock; each holds one photograph

_NEAR_DUPLICATE_REMEDIES: dict[FindingKind, str] = {
    "near_duplicate": "remove one of them, or keep both and know that they count twice",
    "leak": "remove one of them, or give both one split",
}


class Record(NamedTuple):
    """A usable photograph. `split` is None until it has one; without a group in the source its name is its group."""

    name: str
    # Relative to the source, with forward slashes.
    file: str
    # Upright, in pixels.
    width: int
    height: int
    corroded_pixels: int
    # Whose class is unknown.
    ignored_pixels: int
    # Empty where the source gives none.
    split: str
    group: str
    pixels_sha256: str
    hashes: UInt64[np.ndarray, "8 4"]
    # What its label has, and what that was taken as.
    classes: tuple[ClassPixels, ...] = ()

    @property
    def corroded_fraction(self) -> float:
        """Share of the photograph's pixels that count, 0 to 1."""
        return self.corroded_pixels / self.counted_pixels

    @property
    def counted_pixels(self) -> int:
        """Those that are not ignored."""
        return self.width * self.height - self.ignored_pixels


class Audit(NamedTuple):
    """All usable photographs in the order of their names, and all findings by kind and file."""

    root: Path
    format: str
    records: tuple[Record, ...]
    findings: tuple[Finding, ...]

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """The findings because of which a photograph, or a row of a table, is in no split."""
        return tuple(finding for finding in self.findings if finding.left_out)

    @property
    def classes(self) -> tuple[ClassPixels, ...]:
        """The classes and values of the labels, and what they were taken as: corrosion first, most pixels first."""
        pixels = Counter()
        for record in self.records:
            for name, taken_as, count in record.classes:
                pixels[name, taken_as] += count
        order = get_args(TakenAs)
        ordered = sorted(pixels.items(), key=lambda item: (order.index(item[0][1]), -item[1], item[0][0]))
        return tuple(ClassPixels(name, taken_as, count) for (name, taken_as), count in ordered)


def audit(source: Source, *, max_pixels: int = MAX_PIXELS) -> Audit:
    """Decodes every photograph with its label and says what is wrong; one photograph at a time and thread in memory.

    Photographs of more than `max_pixels` pixels by their header are not decoded. Bad photographs and labels become
    findings, never exceptions.
    """
    inspect = functools.partial(_inspect, root=source.root, max_pixels=max_pixels)
    photographs = sorted(source.photographs, key=lambda photograph: photograph.name)
    records, findings = [], list(source.findings)
    with ThreadPoolExecutor(_THREADS) as pool:
        inspected = pool.map(inspect, photographs)
        for record, found in tqdm(inspected, "audit", len(photographs), unit="photo", mininterval=1.0):
            findings.extend(found)
            records.extend([] if record is None else [record])
    records, misplaced = _with_known_splits(records)
    findings.extend(misplaced)
    lost = {photograph.split for photograph in photographs} - {record.split for record in records}
    findings.extend(empty_split(split) for split in sorted(filter(is_split, filter(None, lost))))
    return Audit(source.root, source.format, tuple(records), _in_order(findings))


def with_splits(
    audited: Audit,
    *,
    folds: int = 0,
    train_share: float = TRAIN_SHARE,
    test_share: float = TEST_SHARE,
    seed: int = 0,
) -> Audit:
    """The audit with every photograph in a split, and with what only shows then: near-duplicates, leaks, balance.

    Splits of the source are kept and their leaks reported. Where splits are made here (see `assign_splits`),
    near-duplicates and equal groups become one group first, so that nothing leaks.

    Raises:
        InputError: where there are too few groups for the splits.
    """
    pairs = _pairs(audited.records)
    assign = functools.partial(assign_splits, folds=folds, train_share=train_share, test_share=test_share, seed=seed)
    records = _with_assigned_splits(audited.records, pairs, folds, assign)
    found = [*_near_duplicates(records, pairs), *_leaking_groups(records), *_one_class(records)]
    return audited._replace(records=records, findings=_in_order([*audited.findings, *found]))


def by_split(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each split, training first."""
    splits: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        splits[record.split].append(record)
    return {split: splits[split] for split in sorted(splits, key=split_order)}


def _inspect(
    photograph: LabelledPhotograph, *, root: Path, max_pixels: int
) -> tuple[Record | None, tuple[Finding, ...]]:
    """What there is to know about one photograph, or why it cannot be used."""
    file = _relative(photograph.image, root)

    def left_out(kind: FindingKind, problem: object) -> Finding:
        return Finding(kind, file, _named_below(str(problem), photograph.image, file, root), True)

    if not is_text(photograph.name):
        return None, (left_out("unreadable_image", f"its name {photograph.name!r} is no text: rename the file"),)
    try:
        image = photograph.read(max_pixels)
    except TooLargeError as error:
        remedy = f"more than --max_pixels={max_pixels}: raise that or save it smaller"
        return None, (left_out("unreadable_image", error.claim or f"{file} has {error.size}, {remedy}"),)
    except InputError as error:
        return None, (left_out("unreadable_image", error),)
    try:
        label = photograph.label.read(*image.shape[:2])
    except InputError as error:
        kind = error.kind if isinstance(error, UnusableError) else "unreadable_label"
        turned = kind == "size_mismatch" and _is_turned(photograph.image)
        return None, (left_out(kind, f"{error}{' (its EXIF orientation turns the photograph)' * turned}"),)
    findings = label.findings
    if label.mask.shape != image.shape[:2]:
        findings = (*findings, left_out("size_mismatch", _mismatch(photograph.image, image, label.mask)))
    if label.ignored is not None and label.ignored.all():
        findings = (*findings, left_out("unreadable_label", "every pixel is ignored: draw it again or remove it"))
    usable = not any(finding.left_out for finding in findings)
    return _record(photograph, file, image, label) if usable else None, findings


def _named_below(text: str, path: Path, file: str, root: Path) -> str:
    """A message with the photograph as it is called below the source; other paths lose an absolute source."""
    before = r"(?<![^\s'\"(])"  # a path begins here, rather than going on
    text = re.sub(before + re.escape(str(path)), lambda match: file, text)
    return re.sub(before + re.escape(f"{root}/"), "", text) if root.is_absolute() else text


def _record(
    photograph: LabelledPhotograph,
    file: str,
    image: UInt8[np.ndarray, "height width 3"],
    label: LabelMask,
) -> Record:
    height, width, _ = image.shape
    digest = hashlib.sha256(b"%d x %d" % (width, height))
    digest.update(image.data)
    return Record(
        name=photograph.name,
        file=file,
        width=width,
        height=height,
        corroded_pixels=int(np.count_nonzero(label.mask)),
        ignored_pixels=0 if label.ignored is None else int(np.count_nonzero(label.ignored)),
        split=photograph.split or "",
        group=photograph.group or photograph.name,
        pixels_sha256=digest.hexdigest(),
        hashes=perceptual_hashes(image),
        classes=label.classes,
    )


def _mismatch(path: Path, image: UInt8[np.ndarray, "_ _ 3"], mask: Bool[np.ndarray, "_ _"]) -> str:
    """Why label and photograph do not fit; a label drawn on the photograph before its EXIF turn is said to be one."""
    sizes = f"its label has {size_text(mask.shape)} pixels, the photograph {size_text(image.shape)} (width x height)"
    if mask.shape == image.shape[1::-1] and _is_turned(path):
        cause = "the label has the size of the photograph as stored, before the turn that its EXIF orientation asks for"
        return f"{sizes}: {cause}; turn the label as the photograph is shown"
    return f"{sizes}: export the label at the size of the photograph as it is shown upright"


def _is_turned(path: Path) -> bool:
    """Whether the EXIF orientation exchanges width and height."""
    with contextlib.suppress(Exception), without_pillow_limit, Image.open(path) as image:
        return orientation(image) >= 5
    return False


def _with_known_splits(records: Sequence[Record]) -> tuple[list[Record], list[Finding]]:
    """The records without those that the source gives no usable split, where it gives any splits at all."""
    if all(not record.split for record in records):
        return list(records), []
    known = [record for record in records if is_split(record.split)]
    names = {record.name for record in known}
    findings = []
    for record in records:
        problem = "has no split, though others have one" if not record.split else f"has the split {record.split!r}"
        if record.name not in names:
            remedy = "give it train, validation or test in the table of splits"
            findings.append(Finding("table", record.file, f"{problem}: {remedy}", True))
    return known, findings


def _with_assigned_splits(
    records: Sequence[Record],
    pairs: Int64[np.ndarray, "pair 2"],
    folds: int,
    assign: Callable[[list[Candidate]], dict[str, str]],
) -> tuple[Record, ...]:
    """The records with a split each; among those that the source does not place, near-duplicates have one group."""
    names = names_to_split([_candidate(record) for record in records], folds)
    free = np.array([record.name in names for record in records], bool)
    if not free.any():
        return tuple(records)
    groups = joined_groups([record.group for record in records], pairs[free[pairs].all(axis=-1)])
    records = [record._replace(group=group) for record, group in zip(records, groups, strict=True)]
    splits = assign([_candidate(record) for record, is_free in zip(records, free, strict=True) if is_free])
    return tuple(record._replace(split=splits.get(record.name, record.split)) for record in records)


def _near_duplicates(records: Sequence[Record], pairs: Int64[np.ndarray, "pair 2"]) -> list[Finding]:
    """One finding for each near-duplicate of others in its split, and one for each of others in another split.

    Of two photographs the one that is named is the one to remove: that of test rather than that of train.
    """
    order = sorted(range(len(records)), key=lambda index: (split_order(records[index].split), records[index].name))
    rank = np.argsort(order)
    others, named = np.take_along_axis(pairs, np.argsort(rank[pairs], axis=-1), axis=-1).T
    _, split = np.unique([record.split for record in records], return_inverse=True)
    _, pixels = np.unique([record.pixels_sha256 for record in records], return_inverse=True)
    findings = []
    for kind, remedy in _NEAR_DUPLICATE_REMEDIES.items():
        chosen = (split[others] != split[named]) == (kind == "leak")
        one, other = named[chosen], others[chosen]
        # The one to name has equal pixels or, where none has, is the first by name.
        sequence = np.lexsort((other, pixels[one] != pixels[other], one))
        indices, first, counts = np.unique(one[sequence], return_index=True, return_counts=True)
        for index, closest, count in zip(indices, other[sequence][first], counts, strict=True):
            likeness = _likeness(records[index], records[closest], int(count) - 1)
            findings.append(Finding(kind, records[index].file, f"{likeness}: {remedy}", False))
    return findings


def _likeness(named: Record, other: Record, more: int) -> str:
    alike = "is pixel for pixel" if other.pixels_sha256 == named.pixels_sha256 else "looks like"
    place = f" in {other.split}" if other.split != named.split else ""
    return f"in {named.split}, {alike} {other.file}{place}{f' and {more} more' if more else ''}"


def _leaking_groups(records: Sequence[Record]) -> list[Finding]:
    """Groups that the source itself puts into different splits."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.group].append(record)
    findings = []
    for group, members in groups.items():
        counts = Counter(member.split for member in sorted(members, key=lambda member: split_order(member.split)))
        if len(counts) > 1:
            places = ", ".join(f"{count} in {split}" for split, count in counts.items())
            last = max(members, key=lambda member: (split_order(member.split), member.file))
            message = f"its group {group!r} has {places}: give the whole group one split"
            findings.append(Finding("leak", last.file, message, False))
    return findings


def _one_class(records: Sequence[Record]) -> list[Finding]:
    """Splits in which there is nothing to learn or to measure."""
    findings = []
    for split, members in by_split(records).items():
        corroded = sum(member.corroded_pixels for member in members)
        if corroded in (0, sum(member.counted_pixels for member in members)):
            what = "has nothing but corrosion" if corroded else "has no corroded pixel"
            message = f"split {split} {what}: check the classes (--corrosion_classes) and the labels"
            findings.append(Finding("no_corrosion", split, message, False))
    return findings


def _pairs(records: Sequence[Record]) -> Int64[np.ndarray, "pair 2"]:
    return similar_pairs(np.array([record.hashes for record in records], np.uint64).reshape(-1, 8, 4))


def _candidate(record: Record) -> Candidate:
    return Candidate(record.name, record.group, record.split, record.corroded_pixels > 0)


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(set(findings)))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
