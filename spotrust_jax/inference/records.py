"""Which photographs are done: a record of each, valid as long as doing it again would give the same files."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.inference.outputs import beside
from spotrust_jax.inference.photographs import Photograph
from spotrust_jax.inference.summary import Row
from spotrust_jax.whole_files import write_text

FOLDER = ".records"
"""Hidden folder of the records, in the output folder."""

# Changes when the same settings give other files.
_FORMAT = 1


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

    def find(self, photograph: Photograph, truth: Path | None) -> Row | None:
        """The row of a photograph that is done: made of these very inputs, and none of its files lost or cut short."""
        try:
            record = json.loads(self.text(self._path(photograph)))
            sizes = {name: self.state(self.output / name).size for name in record["files"]}
            if record["inputs"] != self._inputs(photograph, truth) or record["files"] != sizes:
                return None
            return dataclasses.replace(Row(**record["row"]), photograph=str(photograph.path))
        except (OSError, ValueError, KeyError, TypeError):  # no record, or one that something has damaged
            return None

    def save(self, photograph: Photograph, truth: Path | None, row: Row, files: list[Path]) -> None:
        """Says that a photograph is done, once its files are there."""
        path = self._path(photograph)
        path.parent.mkdir(parents=True, exist_ok=True)
        sizes = {file.relative_to(self.output).as_posix(): self.state(file).size for file in files}
        record = {"inputs": self._inputs(photograph, truth), "files": sizes, "row": dataclasses.asdict(row)}
        write_text(path, json.dumps(record))

    def state(self, path: Path) -> FileState:
        """Of one of the files; an `OSError` where there is none."""
        state = os.stat(path)
        return FileState(state.st_size, state.st_mtime_ns)

    def text(self, path: Path) -> str:
        """Of a record; an `OSError` where there is none."""
        return path.read_text(encoding="utf-8")

    def forget(self, photograph: Photograph) -> None:
        """Before anything of a photograph is written: until all of it is, nothing is done."""
        self._path(photograph).unlink(missing_ok=True)

    def _path(self, photograph: Photograph) -> Path:
        return beside(self.output / FOLDER / photograph.stem, ".json")

    def _inputs(self, photograph: Photograph, truth: Path | None) -> str:
        """Hash of the settings and the states of the files that go in."""
        stamps = [self.state(path) for path in (photograph.path, truth) if path is not None]
        return hashlib.sha256(json.dumps([_FORMAT, self.settings, stamps]).encode()).hexdigest()
