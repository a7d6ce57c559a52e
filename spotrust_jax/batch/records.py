"""Which photographs are done: a record of each, valid as long as doing it again would give the same files.

Also which files are ours: a record names them before they are written. And that one run at a time writes into a folder.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.regular_files import read_text
from spotrust_jax.io.written_files import FOLDER, read_record
from spotrust_jax.outputs.map_files import beside
from spotrust_jax.outputs.summary import Row

# Changes when the same settings give other files.
_FORMAT = 2


class FileState(NamedTuple):
    """By what a file is taken for the same: bytes, and nanoseconds of its last change."""

    size: int
    changed: int


@dataclasses.dataclass(frozen=True)
class Records:
    """Records in an output folder, for one way to analyse photographs.

    Attributes:
        output: the folder of the maps.
        settings: everything, in words, that the maps depend on besides the photograph.
    """

    output: Path
    settings: str

    def find(self, photograph: Photograph, truth: Path | None, region: Path | None = None) -> Row | None:
        """The row of a photograph that is done: made of these very inputs, and none of its files lost or cut short."""
        try:
            record = json.loads(self.text(self._path(photograph)))
            sizes = {name: self.state(self.output / name).size for name in record["files"]}
            if record["inputs"] != self._inputs(photograph, truth, region) or record["files"] != sizes:
                return None
            if list(record["row"]) != [field.name for field in dataclasses.fields(Row)]:  # before there was some column
                return None
            row = Row(**record["row"])
            # A folder may come from anybody, and what the row names is read.
            return dataclasses.replace(row, photograph=str(photograph.path), outputs=str(photograph.stem))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ):  # no record, or one that something has damaged
            return None

    @contextlib.contextmanager
    def writing(self, photograph: Photograph, files: Sequence[Path]) -> Iterator[None]:
        """Around the writing of a photograph's files, which are among `files`: the record then has what is there."""
        self.claim(photograph, files)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # on a full disk it stays as it is
                self._settle(self._path(photograph))

    def claim(self, photograph: Photograph, files: Sequence[Path]) -> None:
        """Says which files are to be written, so that whoever comes upon one knows it for ours; nothing is done yet.

        What an earlier run wrote besides stays ours as it was.
        """
        path = self._path(photograph)
        path.parent.mkdir(parents=True, exist_ok=True)
        claimed = {**self._sizes(path), **dict.fromkeys(map(self._name, files))}
        write_atomically(path, json.dumps({"files": claimed}))

    def save(
        self, photograph: Photograph, truth: Path | None, row: Row, files: list[Path], region: Path | None = None
    ) -> None:
        """Says that a photograph is done, once its files are there; those that an earlier run left stay ours."""
        path = self._path(photograph)
        there = [name for name in self._sizes(path) if (self.output / name).exists()]
        sizes = self._measured(path, there) | {self._name(file): self.state(file).size for file in files}
        record = {"inputs": self._inputs(photograph, truth, region), "files": sizes, "row": dataclasses.asdict(row)}
        write_atomically(path, json.dumps(record))

    def state(self, path: Path) -> FileState:
        """Of one of the files; an `OSError` where there is none."""
        state = os.stat(path)
        return FileState(state.st_size, state.st_mtime_ns)

    def text(self, path: Path) -> str:
        """Of a record; an `OSError` where there is none."""
        return read_text(path)

    def _settle(self, path: Path) -> None:
        """Keeps of a record's files those that are there."""
        sizes = self._sizes(path)
        if None not in sizes.values():
            return
        there = [name for name in sizes if (self.output / name).exists()]
        if there:
            write_atomically(path, json.dumps({"files": self._measured(path, there)}))
        else:
            path.unlink()

    def _sizes(self, path: Path) -> dict[str, int | None]:
        """Of a record; empty where there is none."""
        try:
            return dict(read_record(self.text(path)))
        except OSError:
            return {}

    def _measured(self, path: Path, names: Sequence[str]) -> dict[str, int]:
        """Sizes of files that a record names: as it says, else as they are."""
        said = self._sizes(path)
        now = lambda name: self.state(self.output / name).size  # noqa: E731
        return {name: now(name) if (size := said[name]) is None else size for name in names}

    def _name(self, file: Path) -> str:
        return file.relative_to(self.output).as_posix()

    def _path(self, photograph: Photograph) -> Path:
        return beside(self.output / FOLDER / photograph.stem, ".json")

    def _inputs(self, photograph: Photograph, truth: Path | None, region: Path | None) -> str:
        """Hash of the settings and the states of the files that go in."""
        stamps: list = [self.state(path) for path in (photograph.path, truth) if path is not None]
        # The same file may be given as the one or as the other.
        stamps += [] if region is None else [["region", *self.state(region)]]
        return hashlib.sha256(json.dumps([_FORMAT, self.settings, stamps]).encode()).hexdigest()


@contextlib.contextmanager
def only_run(output: Path, part: str = "") -> Iterator[None]:
    """Keeps other runs out of an output folder while this one writes into it.

    Args:
        output: the folder, which is made where it is missing.
        part: the shard, such as "1-of-4", where the run is one of several that share the folder.

    Raises:
        InputError: where another run has the folder, or this shard of it.
    """
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    # Shards hold the folder together, and each its own part.
    locks = {".lock": fcntl.LOCK_SH, f".lock-{part}": fcntl.LOCK_EX} if part else {".lock": fcntl.LOCK_EX}
    with contextlib.ExitStack() as stack:
        for name, kind in locks.items():
            file = stack.enter_context((output / FOLDER / name).open("a"))
            if not _locked(file.fileno(), kind):
                raise InputError(f"another run is writing into {output}: wait for its end, or give another --output")
        yield


def _locked(descriptor: int, kind: int) -> bool:
    """Whether a file is ours until its descriptor is closed; on disks that know no locks it is taken for so."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
