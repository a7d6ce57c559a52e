"""Which mask of a folder is a photograph's ground truth. io/images.py reads it."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.image_files import IMAGE_EXTENSIONS


@dataclasses.dataclass(frozen=True)
class Truths:
    """A folder of masks.

    Attributes:
        folder: where they are.
        shared: names without folder and extension that several photographs of the input have.
    """

    folder: Path
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path, photographs: Sequence[Photograph]) -> "Truths":
        """The masks of all photographs of an input, however they are then split."""
        counts = Counter(photograph.path.stem for photograph in photographs)
        return cls(folder, frozenset(name for name, count in counts.items() if count > 1))

    def path(self, photograph: Photograph) -> Path:
        """The mask at the photograph's place below the input or, where no other photograph has its name, at its name.

        Raises:
            InputError: where there is none, or it is not clear which one it is.
        """
        name = photograph.path.stem
        own, flat = self._masks(photograph.stem), self._masks(PurePosixPath(name))
        found = own or ([] if name in self.shared else flat)
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"photograph {photograph.path} has two masks, {found[0]} and {found[1].name}: keep one")
        if flat:
            raise InputError(
                f"photograph {photograph.path} has no mask of its own in {self.folder}, and {flat[0].name} may be that "
                f"of another one of this name: put it where the photograph is below the input, {photograph.stem}.png"
            )
        raise InputError(f"photograph {photograph.path} has no mask in {self.folder}: add {photograph.stem}.png")

    def find(self, photograph: Photograph) -> Path | None:
        """The same, or None without one."""
        try:
            return self.path(photograph)
        except InputError:
            return None

    def _masks(self, stem: PurePosixPath) -> list[Path]:
        paths = (self.folder / f"{stem}{extension}" for extension in sorted(IMAGE_EXTENSIONS))
        return [path for path in paths if path.is_file()]
