"""Crops of photographs of every shape: by one factor, times the ratio that was asked for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.augmentation import augment, random_rectangle
from spotrust_jax.data.example import Example
from spotrust_jax.data.pipeline import training_batches
from spotrust_jax.data.resized import ResizedDataset
from spotrust_jax.data.sizes import largest_shape, training_shape

DRAWS = 20_000


@pytest.mark.parametrize("scale", [64, 320, 640, 1000])
@pytest.mark.parametrize(
    "shape", [(3000, 4000), (4000, 3000), (900, 900), (1000, 4000), (4032, 2268), (819, 1023), (5, 3)]
)
def test_photographs_come_to_training_in_their_own_proportions(shape, scale):
    found = training_shape(*shape, scale)
    assert max(found) == max(largest_shape(scale)) == 32 * round(scale / 32)
    magnification = np.array(found) / shape
    # To half a pixel of the short side.
    assert abs(magnification[0] / magnification[1] - 1) <= 0.5 / min(found) + 1e-9


@pytest.mark.parametrize("crop", [(480, 480), (384, 512)])
@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (640, 640), (224, 640), (640, 352)])
def test_crops_are_magnified_by_one_factor_times_the_ratio(shape, crop):
    config = AugmentationConfig(crop_size=crop)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    draw = jax.jit(jax.vmap(lambda key: random_rectangle(key, jnp.asarray(shape), config)))
    start, extent = (np.asarray(values, np.float64) for values in draw(keys))
    vertical, horizontal = (np.array(crop) / extent).T
    ratio = horizontal / vertical
    assert abs(np.median(ratio) - 1) < 0.01
    assert 0.75 - 1e-4 < ratio.min() < 0.76 and 1.32 < ratio.max() < 4 / 3 + 1e-4
    # Evenly on both sides of 1, as a logarithm: within five standard errors of the mean.
    assert abs(np.log(ratio).mean()) < 5 * np.log(4 / 3) / np.sqrt(3 * DRAWS)
    assert (start > -1e-3).all() and (start + extent < np.array(shape) + 1e-3).all()
    area = extent.prod(-1) / np.prod(shape)
    fits = (extent < np.array(shape) - 1e-3).all(-1)
    assert area.max() < 1 + 1e-4 and (area[fits] > 0.5 - 1e-4).all()
    # What did not fit fills the photograph along one side.
    np.testing.assert_allclose((extent[~fits] / shape).max(-1), 1, atol=1e-5)


class Circles:
    """Photographs of three shapes with a white disc on black each; corroded is the disc."""

    names = ("landscape", "portrait", "panorama")
    sizes = ((600, 800), (800, 600), (400, 800))

    def __len__(self):
        return 3

    def __getitem__(self, index):
        height, width = self.sizes[index]
        rows, columns = np.mgrid[:height, :width]
        disc = (rows - height / 2 + 0.5) ** 2 + (columns - width / 2 + 0.5) ** 2 < 60**2
        image = np.repeat(np.uint8(255 * disc)[..., None], 3, -1)
        return Example(self.names[index], image, disc, self.names[index])

    def __iter__(self):
        return (self[index] for index in range(3))


def test_circles_become_ellipses_of_the_drawn_ratio():
    """From the file to the crop: with the ratio 1 they stay circles, with another they are ellipses of just that."""
    dataset = ResizedDataset(Circles(), functools.partial(training_shape, scale=320))
    batch = next(training_batches(dataset, seed=0, batch_size=12, size=(320, 320)))
    keys = jax.random.split(jax.random.key(1), 12)
    for ratio in (1.0, 0.75, 4 / 3):
        config = AugmentationConfig(
            crop_size=(320, 320), scale=(0.9, 1.0), ratio=(ratio, ratio), flip=0.0, greyscale=0.0, blur=0.0
        )
        labels = np.asarray(jax.jit(lambda *arrays: augment(*arrays, config))(keys, *batch[:4]).labels)  # noqa: B023
        measured = []
        for label in labels:
            # Discs that lie inside the crop as a whole: the outermost pixels are background.
            if label.any() and not label[[0, -1]].any() and not label[:, [0, -1]].any():
                measured.append(label.any(1).sum() / label.any(0).sum())
        assert len(measured) >= 6
        # A pixel more or less of some sixty.
        np.testing.assert_allclose(measured, ratio, rtol=0.05)
        np.testing.assert_allclose(np.mean(measured), ratio, rtol=0.02)


def test_nothing_beyond_the_photograph_is_ever_seen():
    """Canvas that is white where the photograph is not."""
    images = np.full((64, 96, 96, 3), 255, np.uint8)
    extents = np.tile(np.array([[64, 96], [96, 64], [32, 96], [96, 96]], np.int32), (16, 1))
    for image, (height, width) in zip(images, extents, strict=True):
        image[:height, :width] = 0
    config = AugmentationConfig(crop_size=(48, 48), turns=0.5, brightness=0.0, contrast=0.0, blur=0.0)
    keys = jax.random.split(jax.random.key(2), 64)
    nothing = np.zeros((64, 96, 96), bool)
    seen = jax.jit(lambda *arrays: augment(*arrays, config))(keys, images, images[..., 0] > 0, nothing, extents)
    assert not np.asarray(seen.images).any() and not np.asarray(seen.labels).any()
