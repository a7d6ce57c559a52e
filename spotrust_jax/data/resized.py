"""A data set at one size, which stays in memory as far as it fits: small ones are read from disk once."""

from collections.abc import Iterator

from spotrust_jax.data.example import Dataset, Example
from spotrust_jax.data.images import resize_image, resize_mask

KEPT_BYTES = 2**30
"""Of images and masks that a data set keeps, in each process that reads it."""


class ResizedDataset:
    """The examples of a data set at one size, without what is ignored; the first ones are kept once they are read.

    Args:
        dataset: the examples as they are.
        size: height and width in pixels.
        kept_bytes: what may be kept.
    """

    def __init__(self, dataset: Dataset, size: tuple[int, int], kept_bytes: int = KEPT_BYTES):
        self.names = dataset.names
        self._dataset, self._size = dataset, size
        # Three bytes a pixel of the image, and one of the mask.
        self._kept_count = kept_bytes // (4 * size[0] * size[1])
        self._kept: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Example:
        if index in self._kept:
            return self._kept[index]
        read = self._dataset[index]
        image, mask = resize_image(read.image, *self._size), resize_mask(read.mask, *self._size)
        example = Example(read.name, image, mask, read.group)
        if index < self._kept_count:
            self._kept[index] = example
        return example

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))
