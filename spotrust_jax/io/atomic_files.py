"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; it becomes `path` when the block ends well, and else goes away.

    It is on the disk before it gets its name, so that also after a loss of power there is the old file or the new one.
    The hidden name is always the same, so that what a killed program left is overwritten by the next one.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a text in one step, as UTF-8 and with the ends of lines that it has.

    What has no UTF-8, as in names of files in another encoding, becomes the escape that JSON has for it.
    """
    with atomic_file(path) as partial:
        partial.write_bytes(text.encode(errors="backslashreplace"))


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty hidden folder beside `path`, as in `atomic_file`; `path` must not exist."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for folder, _, names in os.walk(partial):
            for name in names:
                _flush(Path(folder, name))
            _flush(Path(folder))
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _flush(path: Path) -> None:
    """Has a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
