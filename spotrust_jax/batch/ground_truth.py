"""Which file of a folder is a photograph's ground truth, or its region of interest. Others read them."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, TypeVar

from spotrust_jax.data.regions_of_interest import LABELME
from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.image_files import IMAGE_EXTENSIONS

_Files = TypeVar("_Files", bound="Truths")


@dataclasses.dataclass(frozen=True)
class Truths:
    """A folder of masks.

    Attributes:
        folder: where they are.
        shared: names without folder and extension that several photographs of the input have.
    """

    kind: ClassVar[tuple[str, str]] = "mask", "masks"

    folder: Path
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(cls: type[_Files], folder: Path, photographs: Sequence[Photograph]) -> _Files:
        """The files of all photographs of an input, however they are then split."""
        counts = Counter(photograph.path.stem for photograph in photographs)
        return cls(folder, frozenset(name for name, count in counts.items() if count > 1))

    def path(self, photograph: Photograph) -> Path:
        """The file at the photograph's place below the input or, where no other photograph has its name, at its name.

        Raises:
            InputError: where there is none, or it is not clear which one it is.
        """
        kind, kinds = self.kind
        own, flat = self._candidates(photograph)
        found = own or ([] if photograph.path.stem in self.shared else flat)
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"photograph {photograph.path} has two {kinds}, {found[0]} and {found[1].name}: keep one")
        if flat:
            raise InputError(
                f"photograph {photograph.path} has no {kind} of its own in {self.folder}, and {flat[0].name} may be "
                "that of another one of this name: put it where the photograph is below the input, "
                f"{photograph.stem}.png"
            )
        raise InputError(f"photograph {photograph.path} has no {kind} in {self.folder}: add {photograph.stem}.png")

    def find(self, photograph: Photograph) -> Path | None:
        """The same, or None without one."""
        try:
            return self.path(photograph)
        except InputError:
            return None

    def _candidates(self, photograph: Photograph) -> tuple[list[Path], list[Path]]:
        """Files at the photograph's place below the input, and at its name."""
        stems = photograph.stem, PurePosixPath(photograph.path.stem)
        own, flat = ([file for file in self._files(stem) if not _same(file, photograph.path)] for stem in stems)
        return own, flat

    def _files(self, stem: PurePosixPath) -> list[Path]:
        paths = (self.folder / f"{stem}{extension}" for extension in sorted(IMAGE_EXTENSIONS))
        return [path for path in paths if path.is_file()]


@dataclasses.dataclass(frozen=True)
class RegionFiles(Truths):
    """A folder of regions of interest: masks, and labelme's files, which may lie beside the photographs."""

    kind: ClassVar[tuple[str, str]] = "region of interest", "regions of interest"

    def has(self, photograph: Photograph) -> bool:
        """Whether there is any file that may be the photograph's; `path` says which, or why not."""
        return any(self._candidates(photograph))

    def _files(self, stem: PurePosixPath) -> list[Path]:
        """A file of labelme goes before pictures, which are then the photograph that it was drawn on."""
        drawn = self.folder / f"{stem}{LABELME}"
        return [drawn] if drawn.is_file() else super()._files(stem)


def _same(file: Path, photograph: Path) -> bool:
    return file.resolve() == photograph.resolve()
