"""Crops from the pool: of the right photograph, in its proportions, the same alone and in a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.photograph_pool import make_pool, random_crops

# Nothing but the window; PLAIN takes all of a photograph that has the crop's proportions.
PLAIN = AugmentationConfig(
    crop_size=(32, 64),
    scale=(1.0, 1.0),
    ratio=(1.0, 1.0),
    flip=0.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    greyscale=0.0,
    blur=0.0,
)


def _crops(images, numbers, config, seed=0):
    keys = jax.random.split(jax.random.key(seed), len(numbers))
    crop = jax.jit(lambda keys, pool, numbers: random_crops(keys, pool, numbers, config))
    return np.asarray(crop(keys, make_pool(images), jnp.asarray(numbers)))


def test_whole_photographs_come_back_as_they_are():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (32, 64, 3), np.uint8) for _ in range(3)]
    crops = _crops(images, [2, 0, 1, 2], PLAIN)
    for crop, number in zip(crops, [2, 0, 1, 2], strict=True):
        np.testing.assert_allclose(255 * crop, images[number], atol=1e-3)


def _ramp(height, width, number):
    """Red grows by 1 with each row and green with each column; blue is the photograph's own."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows, columns, np.full_like(rows, number)], -1).astype(np.uint8)


def test_windows_have_the_crops_proportions_and_stay_in_their_photograph():
    sizes = [(200, 90), (60, 220), (40, 40), (128, 128)]
    images = [_ramp(*size, number) for number, size in enumerate(sizes)]
    numbers = np.arange(40) % len(sizes)
    config = AugmentationConfig(**{**vars(PLAIN), "scale": (0.05, 1.0)})
    crops = 255 * _crops(images, numbers, config)
    spacings = []
    for crop, number in zip(crops, numbers, strict=True):
        red, green, blue = np.moveaxis(crop, 2, 0)
        np.testing.assert_allclose(blue, number, atol=1e-3)
        height, width = sizes[number]
        # Away from the edges, where the outermost half pixel is repeated, both directions are seen at one scale.
        down, across = np.diff(red[:, 0])[3:-3], np.diff(green[0])[6:-6]
        np.testing.assert_allclose(down, down[0], atol=2e-3)
        np.testing.assert_allclose(across, down[0], atol=2e-3)
        assert down[0] * 32 <= height + 1e-2 and across[0] * 64 <= width + 1e-2
        assert red.min() >= 0 and red.max() <= height - 1 and green.max() <= width - 1
        spacings.append(down[0])
    # Shares of the area from a twentieth up to all of it: scales differ by more than a factor of three.
    assert max(spacings) > 3 * min(spacings)


def test_flips_reverse_rows_and_columns():
    image = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    crops = _crops([image], [0] * 32, AugmentationConfig(**{**vars(PLAIN), "flip": 0.5}))
    views = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    seen = {next(i for i, view in enumerate(views) if np.allclose(255 * crop, view, atol=1e-3)) for crop in crops}
    assert seen == {0, 1, 2, 3}


def test_square_crops_are_turned():
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    crops = _crops(
        [image, image], [0, 1] * 16, AugmentationConfig(**{**vars(PLAIN), "crop_size": (32, 32), "turns": 1.0})
    )
    views = [np.rot90(image, turns) for turns in range(4)]
    seen = {next(i for i, view in enumerate(views) if np.allclose(255 * crop, view, atol=1e-3)) for crop in crops}
    assert seen == {1, 2, 3}


@pytest.mark.parametrize("size", [(1, 1), (5, 300)])
def test_tiny_photographs_are_magnified(size):
    crops = _crops([np.full((*size, 3), 200, np.uint8)], [0], PLAIN)
    np.testing.assert_allclose(255 * crops, 200, atol=1e-3)


def test_a_crop_depends_on_its_key_and_photograph_alone():
    images = [_ramp(50, 60, number) for number in range(3)]
    config = AugmentationConfig(crop_size=(32, 32), scale=(0.2, 0.8))
    keys = jax.random.split(jax.random.key(3), 4)
    pool = make_pool(images)
    crop = jax.jit(lambda keys, numbers: random_crops(keys, pool, numbers, config))
    together = crop(keys, jnp.array([0, 1, 2, 1]))
    alone = crop(keys[1:2], jnp.array([1]))
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    assert not np.allclose(together[1], together[3])
