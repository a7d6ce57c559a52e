"""Which files a run of ours has written, as the records beside them say; they are no photographs.

batch/records.py writes the rest of a record.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.regular_files import read_text

FOLDER = ".records"
"""Hidden folder of the records, in the folder that the files are written into."""

Sizes = Mapping[str, int | None]
"""Bytes of files by their path below that folder; None where they were still to be written."""


def without_written(files: Sequence[Path]) -> list[Path]:
    """The files that no run has written; one of another size has taken the place of the one that was written.

    Files must be listed before they are given: a record is there before the files that it names.
    """
    # `Path.resolve` would fail on links that run in a circle.
    places = [Path(os.path.realpath(file)) for file in files]
    known = _written_near(places)
    pairs = zip(files, places, strict=True)
    return [file for file, place in pairs if place not in known or known[place] not in (None, _size(place))]


def read_record(text: str) -> Sizes:
    """The files that a record names; what is damaged in it counts as not there."""
    try:
        files = json.loads(text)["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: size for name, size in files if _is_path(name) and (size is None or type(size) is int)}


def record_folder(output: Path, files: Path, partial: Path) -> None:
    """Notes that the files of a folder below the output, which still lie in `partial`, are ours."""
    place = files.relative_to(output).as_posix()
    sizes = {f"{place}/{file.name}": os.stat(file).st_size for file in partial.iterdir()}
    (output / FOLDER).mkdir(exist_ok=True)
    write_atomically(output / FOLDER / f".{files.name}.json", json.dumps({"files": sizes}))


def _written_near(places: Iterable[Path]) -> dict[Path, int | None]:
    """All files that are known to records in the folders that the places lie in, or in any of those around them."""
    folders = {folder for parent in {place.parent for place in places} for folder in (parent, *parent.parents)}
    return {
        folder / name: size
        for folder in sorted(folders)
        if (folder / FOLDER).is_dir()
        for text in _texts(folder / FOLDER)
        for name, size in read_record(text).items()
    }


def _texts(records: Path) -> Iterator[str]:
    for folder, _, names in os.walk(records):
        for name in names:
            if name.endswith(".json"):
                try:
                    yield read_text(Path(folder, name), errors="replace")
                except OSError:  # as damaged as one that is no JSON
                    continue


def _is_path(name: str) -> bool:
    """Whether the system takes a text for a path: half a character or a zero in it ends every call with an error."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
