"""What every data set yields: one labelled photograph."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.errors import InputError


class Example(NamedTuple):
    """One photograph with its label: `mask` is true where there is corrosion, `ignored` where the class is unknown.

    Ignored pixels count in no loss, no metric and no calibration.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]
    group: str
    ignored: Bool[np.ndarray, "height width"] | None = None

    @property
    def scored(self) -> Bool[np.ndarray, "height width"]:
        """Where the label counts."""
        return np.ones_like(self.mask) if self.ignored is None else ~self.ignored

    def require_scored(self) -> None:
        """Raises an `InputError` where no label counts: such a photograph is neither corroded nor without corrosion."""
        if not self.scored.any():
            raise InputError(f"all pixels of photograph {self.name} are ignored: leave it out of the split")


@runtime_checkable
class Dataset(Protocol):
    """A sequence of examples, read when asked for. `names` are unique and in the order of the indices."""

    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...
