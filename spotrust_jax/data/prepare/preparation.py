"""From a source to a data set on disk: audit, splits, channel statistics, and the writing of whatever is usable.

The parts are in audit.py, splits.py, card.py and the two writers; here is only their order, and what may be written.
"""

import contextlib
import fcntl
import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from spotrust_jax.data.card import DatasetCard, channel_statistics
from spotrust_jax.data.example import Dataset, Example
from spotrust_jax.data.folder_writer import write_folder
from spotrust_jax.data.prepare.audit import Audit, Record, audit, by_split, with_splits
from spotrust_jax.data.prepare.audit_report import AUDIT_NAME, describe, write_audit
from spotrust_jax.data.prepare.source import LabelledPhotograph, Source
from spotrust_jax.data.prepare.split_assignment import TEST_SHARE, TRAIN_SHARE, check_shares
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.io.images import MAX_PIXELS

Target = Literal["tfds", "folder"]
"""What is written: a tfds data set, or a folder of images and masks."""

_UNFINISHED, _FINISHED = ".unfinished", ".finished"

_TAKEN_REMEDY = "choose another folder, or delete this one first"


class SourceDataset:
    """The audited photographs of one split, in the order of their names, read from the source when asked for."""

    def __init__(self, source: Source, records: list[Record], *, max_pixels: int = MAX_PIXELS):
        self.names = tuple(sorted(record.name for record in records))
        self._photographs: dict[str, LabelledPhotograph] = {p.name: p for p in source.photographs}
        self.sites = tuple(self._photographs[name].site for name in self.names)
        self._groups = {record.name: record.group for record in records}
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        name = self.names[index]
        photograph = self._photographs[name]
        image = photograph.read(self._max_pixels)
        label = photograph.label.read(*image.shape[:2])
        return Example(name, image, label.mask, self._groups[name], label.ignored)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def prepare(
    source: Source,
    output: Path,
    card: DatasetCard,
    *,
    to: Target = "tfds",
    folds: int = 0,
    train_share: float = TRAIN_SHARE,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    strict: bool = False,
    report: Callable[[str], None] = print,
) -> Audit:
    """Audits the source, reports for people, and writes the usable photographs with audit.json into `output`.

    The data set appears under its name only when it is whole; the channel statistics of the training split become part
    of the card. The source is only read.

    Raises:
        InputError: where `output` is taken or lies in the source, nothing is usable or can be split, or, if `strict`,
            anything was found. In the last three cases audit.json is written, and nothing else.
        RunError: where the disk is full.
    """
    check_shares(folds, train_share, test_share)
    with _output_folder(output, source.root) as completed:
        audited = audit(source, max_pixels=max_pixels)
        try:
            audited = with_splits(audited, folds=folds, train_share=train_share, test_share=test_share, seed=seed)
            problem = _problem(audited, strict)
        except InputError as error:
            problem = str(error)
        report(describe(audited))
        if completed:
            _check_same(audited, output)
            return audited
        with _one_line_if_full(output):
            if problem:
                raise InputError(f"{problem} (all findings: {write_audit(audited, output)})")
            with _written_at_once(output) as folder:
                write_audit(audited, folder)
                _write(source, audited, folder, card, to, max_pixels)
    return audited


@contextlib.contextmanager
def _output_folder(output: Path, root: Path) -> Iterator[bool]:
    """Makes the folder and keeps other runs out of it until the end of the block.

    What a killed run had finished there is moved to its place, and the block gets True; what it had not is removed. An
    `InputError` says where the folder lies in the source, or holds anything else but an earlier audit.
    """
    if Path(os.path.realpath(output)).is_relative_to(os.path.realpath(root)):
        raise InputError(f"output {output} lies in the source {root}, which is never written to: choose another folder")
    with contextlib.ExitStack() as until_the_end:
        try:
            output.mkdir(parents=True, exist_ok=True)
            until_the_end.enter_context(_locked(output))
            completed = (output / _FINISHED).is_dir()
            if completed:
                _move_to_output(output)
            if (output / _UNFINISHED).is_dir():
                shutil.rmtree(output / _UNFINISHED)
            taken = [entry for entry in os.listdir(output) if entry != AUDIT_NAME]
        except OSError as error:
            raise InputError(f"output {output} cannot be used ({error.strerror}): choose another folder") from error
        if taken and not completed:
            raise InputError(f"output {output} is not empty, it holds {min(taken)}: {_TAKEN_REMEDY}")
        yield completed


def _check_same(audited: Audit, output: Path) -> None:
    """Raises an `InputError` where the data set that a killed run had finished is not that of this audit."""
    with tempfile.TemporaryDirectory() as folder:
        same = filecmp.cmp(write_audit(audited, Path(folder)), output / AUDIT_NAME, shallow=False)
    if not same:
        raise InputError(f"output {output} is not empty, an earlier run wrote another data set there: {_TAKEN_REMEDY}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps others from locking the folder; the system lets go of it with the process."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "wait for its end, or choose another folder"
            raise InputError(f"output {folder} is being written by another prepare_data: {remedy}") from None
        yield
    finally:
        os.close(opened)


@contextlib.contextmanager
def _one_line_if_full(output: Path) -> Iterator[None]:
    """Makes one line of what the system says while something is written."""
    try:
        yield
    except OSError as error:
        remedy = "make room, or choose another --output"
        raise RunError(f"data set {output} cannot be written ({error.strerror or error}): {remedy}") from error


def _problem(audited: Audit, strict: bool) -> str:
    """Why nothing may be written, or an empty text."""
    if not audited.records:
        return f"{audited.root} has no usable photograph: mend what the audit lists"
    if strict and audited.findings:
        return f"{audited.root} has {len(audited.findings)} finding(s): mend them, or leave out --strict"
    return ""


def _write(source: Source, audited: Audit, folder: Path, card: DatasetCard, to: str, max_pixels: int) -> None:
    splits: dict[str, Dataset] = {
        split: SourceDataset(source, records, max_pixels=max_pixels)
        for split, records in by_split(audited.records).items()
    }
    if "train" in splits:
        card = card._replace(statistics=channel_statistics(splits["train"]))
    if to == "folder":
        write_folder(splits, folder, card)
    else:
        from spotrust_jax.data.tfds_writer import write_tfds  # noqa: PLC0415 (imports half of tfds)

        write_tfds(splits, folder, card)


@contextlib.contextmanager
def _written_at_once(output: Path) -> Iterator[Path]:
    """A hidden folder whose contents move to `output` at the end, and are removed if anything goes wrong before.

    It lies in `output`, which may be a mounted volume or a link, so that moving is renaming.
    """
    folder = output / _UNFINISHED
    folder.mkdir()
    try:
        yield folder
        folder.rename(output / _FINISHED)
        _move_to_output(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_to_output(output: Path) -> None:
    # Folders go first, since files such as splits.csv say that a data set is there.
    for entry in sorted((output / _FINISHED).iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
        entry.replace(output / entry.name)
    (output / _FINISHED).rmdir()
