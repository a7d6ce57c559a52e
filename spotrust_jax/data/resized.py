"""A data set at the size that the network sees, which stays in memory as far as it fits: small ones are read once."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from spotrust_jax.data.example import Dataset, Example
from spotrust_jax.data.example_order import sites_of
from spotrust_jax.io.images import resize_image, resize_label

ShapeOf = Callable[[int, int], tuple[int, int]]

KEPT_BYTES = 2**30
"""Of images and labels that a data set keeps, in each process that reads it."""

_THREADS = 4


class ResizedDataset:
    """The examples of a data set, each in the shape in which the network sees it; they are kept once they are read.

    Args:
        dataset: the examples as they are.
        shape_of: their height and width as they are to what they become.
        kept_bytes: what may be kept.
    """

    def __init__(self, dataset: Dataset, shape_of: ShapeOf, kept_bytes: int = KEPT_BYTES):
        self.names, self.sites = dataset.names, sites_of(dataset)
        self._dataset, self._shape_of, self._room = dataset, shape_of, kept_bytes
        self._kept: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        if index in self._kept:
            return self._kept[index]
        example = _resized(self._dataset[index], self._shape_of)
        needed = sum(part.nbytes for part in (example.image, example.mask, example.ignored) if part is not None)
        if needed <= self._room:
            self._kept[index] = example
            self._room -= needed
        return example

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    @functools.cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every example, for which each is read."""
        with ThreadPoolExecutor(_THREADS) as threads:
            return tuple(threads.map(lambda index: self[index].mask.shape, range(len(self))))


def _resized(example: Example, shape_of: ShapeOf) -> Example:
    shape = shape_of(*example.mask.shape)
    mask, ignored = resize_label(example.mask, example.ignored, *shape)
    return example._replace(image=resize_image(example.image, *shape), mask=mask, ignored=ignored)
