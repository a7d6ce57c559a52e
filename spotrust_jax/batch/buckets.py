"""Folders and buckets as one: what photographs are in them, and files fetched from and sent to them, by pyarrow."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from pyarrow import fs

from spotrust_jax.batch.records import FileState
from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import distinct_stems
from spotrust_jax.io.image_files import is_photograph, without_originals
from spotrust_jax.io.written_files import FOLDER, read_record


class Store(NamedTuple):
    """A folder anywhere.

    Attributes:
        filesystem: where it is.
        root: its path there.
    """

    filesystem: fs.FileSystem
    root: PurePosixPath

    @property
    def local(self) -> Path | None:
        """The folder on this machine, or on a disk that all machines share; None for a bucket."""
        return Path(self.root) if isinstance(self.filesystem, fs.LocalFileSystem) else None

    def photographs(self) -> list[tuple[str, str]]:
        """Path and stem of each photograph, as `list_photographs` gives them for a folder.

        What an earlier run wrote is none, as far as its records lie in the store or in a folder around it.
        """
        sizes = self._files()
        known = self._written(sizes)
        files = [file for file in sizes if known.get(file, -1) not in (None, sizes[file])]
        files = without_originals(file for file in files if self._is_photograph(file.relative_to(self.root)))
        stems = distinct_stems([file.relative_to(self.root) for file in files])
        return [(str(file), str(stem)) for file, stem in zip(files, stems, strict=True)]

    def state(self, path: str | os.PathLike) -> FileState:
        """Of a file; an `OSError` where there is none."""
        info = self.filesystem.get_file_info(str(path))
        if info.type != fs.FileType.File:
            raise FileNotFoundError(str(path))
        return FileState(info.size, info.mtime_ns or 0)

    def text(self, path: str | os.PathLike) -> str:
        """Of a file, however damaged; an `OSError` where there is none."""
        with self.filesystem.open_input_stream(str(path)) as file:
            return file.read().decode(errors="replace")

    def fetch(self, path: str, target: Path) -> None:
        """Copies a file to this machine, with its time of change, by which it is known again."""
        target.parent.mkdir(parents=True, exist_ok=True)
        fs.copy_files(path, str(target), source_filesystem=self.filesystem, destination_filesystem=fs.LocalFileSystem())
        changed = self.state(path).changed
        os.utime(target, ns=(changed, changed))

    def send(self, folder: Path) -> None:
        """Copies all files below a folder of this machine to the same places here, hidden ones last.

        They are records of what is done, and must not be there before it is.
        """
        files = (path for path in folder.rglob("*") if path.is_file())
        for file in sorted(files, key=lambda path: (_hidden(path.relative_to(folder)), path)):
            place = self.root / file.relative_to(folder).as_posix()
            self.filesystem.create_dir(str(place.parent), recursive=True)
            options = {"source_filesystem": fs.LocalFileSystem(), "destination_filesystem": self.filesystem}
            fs.copy_files(str(file), str(place), **options)

    def _files(self) -> dict[PurePosixPath, int]:
        """Sizes of all files, in the order of their names."""
        try:
            infos = self.filesystem.get_file_info(fs.FileSelector(str(self.root), recursive=True))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"input {self.root} cannot be listed ({error}): give a folder or a bucket") from error
        found = {PurePosixPath(info.path): info.size for info in infos if info.type == fs.FileType.File}
        return dict(sorted(found.items()))

    def _written(self, files: Iterable[PurePosixPath]) -> dict[PurePosixPath, int | None]:
        """All files that are known to records."""
        around = [
            PurePosixPath(info.path)
            for folder in self.root.parents
            for info in self.filesystem.get_file_info(
                fs.FileSelector(str(folder / FOLDER), allow_not_found=True, recursive=True)
            )
        ]
        records = [file for file in (*files, *around) if FOLDER in file.parts and file.suffix == ".json"]
        return {
            PurePosixPath(*record.parts[: record.parts.index(FOLDER)]) / name: size
            for record in records
            for name, size in read_record(self.text(record)).items()
        }

    @staticmethod
    def _is_photograph(file: PurePosixPath) -> bool:
        return is_photograph(file.name) and not _hidden(file)


def open_store(place: str) -> Store:
    """The store of a folder's path, or of a URI such as s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."""
    try:
        filesystem, root = fs.FileSystem.from_uri(place if "://" in place else str(Path(place).resolve()))
    except (ValueError, OSError) as error:
        raise InputError(f"{place} is no place for files ({error}): give a folder, s3://... or gs://...") from error
    return Store(filesystem, PurePosixPath(root))


def _hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)
