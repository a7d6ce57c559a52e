"""Photographs that a model has seen: their names, and hashes by which they are known again under any other name.

launch/seen_flags.py decides which of them a program refuses.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class SeenPhotographs:
    """Names and `photograph_hash` of photographs, in one order."""

    names: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.hashes):
            raise InputError(f"photographs have {len(self.names)} names and {len(self.hashes)} hashes: give as many")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.names, self.hashes, strict=True)

    def __or__(self, other: "SeenPhotographs") -> "SeenPhotographs":
        return SeenPhotographs(*zip(*dict.fromkeys([*self, *other]), strict=True)) if self or other else self

    def among(self, other: "SeenPhotographs") -> tuple[str, ...]:
        """Names of those whose pixels `other` has as well."""
        known = set(other.hashes)
        return tuple(name for name, digest in self if digest in known)


def photograph_hash(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """16 hexadecimal digits of a hash of size and pixels.

    It is the same for a renamed copy, for one without metadata, and for one in another lossless format, such as in a
    tfds data set; saved as JPEG again, or at another size, a photograph is another one.
    """
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def seen_photographs(dataset: Dataset) -> SeenPhotographs:
    """All photographs of a data set, which is read once, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda index: photograph_hash(dataset[index].image), range(len(dataset)))
        options = {"desc": "photographs", "unit": "photo", "mininterval": 1.0, "delay": 5.0, "leave": False}
        return SeenPhotographs(tuple(dataset.names), tuple(tqdm(found, total=len(dataset), **options)))
