"""Examples at one size: the same as resized one by one, read once as far as they may be kept."""

import numpy as np
import pytest

from spotrust_jax.data.example import Example
from spotrust_jax.data.images import resize_image, resize_mask
from spotrust_jax.data.pipeline import validation_batches
from spotrust_jax.data.resized import ResizedDataset


class Counted:
    """Five random examples of several sizes, and how often each was read."""

    def __init__(self):
        self.names = tuple(f"photograph {number}" for number in range(5))
        self.read = [0] * 5

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.read[index] += 1
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (40 + index, 50, 3), np.uint8)
        return Example(self.names[index], image, rng.random((40 + index, 50)) < 0.5, "group")

    def __iter__(self):
        return (self[index] for index in range(5))


@pytest.mark.parametrize(("kept_bytes", "read"), [(2**20, [1] * 5), (2 * 4 * 8 * 12, [1, 1, 3, 3, 3]), (0, [3] * 5)])
def test_examples_are_read_once_as_far_as_they_fit(kept_bytes, read):
    dataset, originals = Counted(), Counted()
    resized = ResizedDataset(dataset, (8, 12), kept_bytes)
    for _ in range(3):
        for found, original in zip(resized, originals, strict=True):
            np.testing.assert_array_equal(found.image, resize_image(original.image, 8, 12))
            np.testing.assert_array_equal(found.mask, resize_mask(original.mask, 8, 12))
            assert (found.name, found.group) == (original.name, original.group)
    assert dataset.read == read and len(resized) == 5 and resized.names == dataset.names


def test_batches_are_those_of_the_photographs_as_they_are():
    options = {"batch_size": 2, "size": (8, 12)}
    resized = validation_batches(ResizedDataset(Counted(), (8, 12)), **options)
    for found, expected in zip(resized, validation_batches(Counted(), **options), strict=True):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
