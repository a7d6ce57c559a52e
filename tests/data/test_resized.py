"""Examples as prediction sees them: the same as resized one by one, read once as far as they may be kept."""

import numpy as np
import pytest

from spotrust_jax.data.example import Example
from spotrust_jax.data.resized import ResizedDataset
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.io.images import resize_image, resize_label, resize_mask

# Landscape, portrait, panorama, square and one that is taken for 4:3.
SIZES = [(60, 80), (96, 64), (40, 120), (50, 50), (82, 100)]


class Counted:
    """Five random examples of several sizes, and how often each was read; some pixels of every second are ignored."""

    def __init__(self):
        self.names = tuple(f"photograph {number}" for number in range(5))
        self.read = [0] * 5

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.read[index] += 1
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (*SIZES[index], 3), np.uint8)
        ignored = rng.random(SIZES[index]) < 0.3 if index % 2 else None
        return Example(self.names[index], image, rng.random(SIZES[index]) < 0.5, "group", ignored)

    def __iter__(self):
        return (self[index] for index in range(5))


# The first is of 64 x 64 pixels without what is ignored, the second of 64 x 32 with it.
@pytest.mark.parametrize(
    ("kept_bytes", "read"), [(2**20, [1] * 5), (4 * 64 * 64 + 5 * 64 * 32, [1, 1, 3, 3, 3]), (0, [3] * 5)]
)
def test_examples_are_read_once_as_far_as_they_fit(kept_bytes, read):
    dataset, originals = Counted(), Counted()
    resized = ResizedDataset(dataset, Analysis(64).shape, kept_bytes)
    for _ in range(3):
        for found, original, size in zip(resized, originals, SIZES, strict=True):
            shape = Analysis(64).shape(*size)
            np.testing.assert_array_equal(found.image, resize_image(original.image, *shape))
            mask, ignored = resize_label(original.mask, original.ignored, *shape)
            np.testing.assert_array_equal(found.mask, mask)
            np.testing.assert_array_equal(found.ignored, ignored)
            assert (found.name, found.group) == (original.name, original.group)
    assert dataset.read == read and len(resized) == 5 and resized.names == dataset.names


def test_shapes_are_those_of_prediction_for_one_reading():
    dataset = Counted()
    resized = ResizedDataset(dataset, Analysis(64).shape)
    assert list(resized.shapes) == [Analysis(64).shape(*size) for size in SIZES]
    assert [example.mask.shape for example in resized] == list(resized.shapes) and dataset.read == [1] * 5


def test_a_label_shrinks_by_what_is_known_of_each_pixel():
    rng = np.random.default_rng(3)
    mask, ignored = rng.random((2, 24, 36)) < 0.5
    found, left_out = resize_label(mask, ignored, 4, 6)
    blocks = lambda values: values.reshape(4, 6, 6, 6).sum((1, 3))  # noqa: E731
    known, corroded = blocks(~ignored), blocks(mask & ~ignored)
    np.testing.assert_array_equal(left_out, known < 18)
    np.testing.assert_array_equal(found, (known >= 18) & (2 * corroded >= known))
    assert left_out.any() and not left_out.all() and found.any()
    # Nothing ignored is the mask alone.
    plain, none_left_out = resize_label(mask, np.zeros_like(mask), 4, 6)
    np.testing.assert_array_equal(plain, resize_mask(mask, 4, 6))
    assert not none_left_out.any()
