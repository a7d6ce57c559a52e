"""Order of batches, and augmentation that moves image and mask together."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.augmentation import augment
from spotrust_jax.data.example import Example
from spotrust_jax.data.pipeline import training_batches, validation_batches

STILL = AugmentationConfig((32, 32), (1.0, 1.0), (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)


class Numbered:
    """Examples that carry their index as their colour."""

    names = tuple(f"{index:02}" for index in range(10))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        image = np.full((4, 4, 3), index, np.uint8)
        return Example(self.names[index], image, np.zeros((4, 4), bool), self.names[index])

    def __iter__(self):
        return (self[index] for index in range(10))


def _indices(first=0, seed=0, count=10):
    batches = training_batches(Numbered(), seed=seed, batch_size=4, size=(4, 4), first=first)
    return [batch.images[:, 0, 0, 0].tolist() for batch in itertools.islice(batches, count)]


def test_each_epoch_has_every_example_once_in_an_order_of_its_own():
    order = np.concatenate(_indices())
    epochs = order.reshape(4, 10)
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert _indices(seed=1) != _indices(seed=0)


@pytest.mark.parametrize("first", [1, 5])
def test_resumed_order_is_the_rest_of_the_whole(first):
    assert _indices(first=first, count=10 - first) == _indices()[first:]


def test_validation_sees_every_example_once_and_marks_the_filling():
    batches = list(validation_batches(Numbered(), batch_size=4, size=(4, 4)))
    seen = np.concatenate([batch.images[batch.valid, 0, 0, 0] for batch in batches])
    assert seen.tolist() == list(range(10))
    assert [batch.valid.sum() for batch in batches] == [4, 4, 2]
    assert {batch.images.shape for batch in batches} == {(4, 4, 4, 3)}


@pytest.fixture(scope="module")
def scenes():
    """Images whose red channel is 255 exactly where the mask is true."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.random((64, 4, 4)) < 0.5, np.ones((8, 8))).astype(bool)
    images = np.stack([255 * masks, rng.integers(0, 256, masks.shape), np.full(masks.shape, 128)], -1).astype(np.uint8)
    return jnp.asarray(images), jnp.asarray(masks)


def test_no_change_is_the_identity(scenes):
    images, masks = scenes
    out, labels = jax.jit(lambda k, i, m: augment(k, i, m, STILL))(jax.random.split(jax.random.key(0), 64), *scenes)
    np.testing.assert_allclose(out, images / 255.0, atol=1e-5)
    np.testing.assert_array_equal(labels, masks)


def test_crops_and_flips_move_image_and_mask_together(scenes):
    moving = AugmentationConfig((32, 32), (0.5, 1.0), (0.75, 4 / 3), 0.5, 0.0, 0.0, 0.0, 0.0)
    run = jax.jit(lambda k, i, m: augment(k, i, m, moving))
    out, labels = run(jax.random.split(jax.random.key(0), 64), *scenes)
    # The red channel is the mask, so after the same interpolation it is above one half exactly where the label is.
    np.testing.assert_array_equal(out[..., 0] >= 0.5, labels == 1)
    assert set(np.unique(labels)) == {0.0, 1.0}
    assert (np.asarray(labels) != np.asarray(scenes[1])).any(axis=(1, 2)).mean() > 0.9


def test_colours_stay_in_range_and_change(scenes):
    colourful = AugmentationConfig((32, 32), (1.0, 1.0), (1.0, 1.0), 0.0)
    out, labels = jax.jit(lambda k, i, m: augment(k, i, m, colourful))(jax.random.split(jax.random.key(0), 64), *scenes)
    assert out.min() >= 0 and out.max() <= 1
    np.testing.assert_array_equal(labels, scenes[1])
    assert np.abs(out - scenes[0] / 255.0).mean() > 0.02
