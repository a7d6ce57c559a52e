"""Augmentation against numpy, scipy and matplotlib, and image and mask moving together."""

import dataclasses
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from scipy.ndimage import gaussian_filter, map_coordinates

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.augmentation import augment, colour_jitter, random_blur
from spotrust_jax.errors import InputError
from spotrust_jax.random import stream

SIDE, COUNT = 32, 256
STILL = AugmentationConfig(
    crop_size=(SIDE, SIDE),
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
KEYS = jax.random.split(jax.random.key(0), COUNT)


@pytest.fixture(scope="module")
def scenes():
    """Images whose red channel is 255 exactly where the mask is true; the other channels are noise."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.random((COUNT, 4, 4)) < 0.5, np.ones((8, 8))).astype(bool)
    images = rng.integers(0, 256, (*masks.shape, 3), np.uint8)
    images[..., 0] = 255 * masks
    return images, masks


def _whole(images, masks):
    """With nothing ignored, and nothing beyond the image."""
    return images, masks, np.zeros(masks.shape, bool), np.tile(np.array(masks.shape[1:], np.int32), (len(masks), 1))


def _augment(images, masks, **changes):
    config = dataclasses.replace(STILL, **changes)
    # Compiled as a whole, as in training: what the compiler fuses must stay right.
    augmented = jax.jit(lambda *arrays: augment(*arrays, config))(KEYS, *_whole(images, masks))
    assert augmented.scored.all()
    return np.asarray(augmented.images), np.asarray(augmented.labels)


def _share_of(count, share):
    """Whether `count` of COUNT is what a probability gives, within five standard deviations."""
    return abs(count - COUNT * share) <= 5 * (COUNT * share * (1 - share)) ** 0.5


def test_no_change_is_the_identity(scenes):
    images, labels = _augment(*scenes)
    np.testing.assert_allclose(images, scenes[0] / 255.0, atol=1e-6)
    np.testing.assert_array_equal(labels, scenes[1])


@pytest.mark.parametrize(("shape", "quarters"), [((SIDE, SIDE), (1, 2, 3)), ((40, SIDE), (2,))])
def test_flips_and_turns_are_numpys_as_often_as_asked(scenes, shape, quarters):
    originals, masks = (np.concatenate([array, array], axis=1)[:, : shape[0]] for array in scenes)
    images, labels = _augment(originals, masks, flip=0.5, turns=0.6, crop_size=shape)
    found = {}
    for image, label, original, mask in zip(images, labels, originals / 255.0, masks, strict=True):
        for rows, columns, turn in itertools.product((1, -1), (1, -1), (0, *quarters)):
            if np.allclose(image, np.rot90(original[::rows, ::columns], turn), atol=1e-6):
                np.testing.assert_array_equal(label, np.rot90(mask[::rows, ::columns], turn))
                # A turn and flips can be another turn and other flips: counted is what is seen.
                seen = np.rot90(np.arange(4).reshape(2, 2)[::rows, ::columns], turn)
                break
        else:
            raise AssertionError("neither a flip nor a turn of the original")
        found[tuple(seen.ravel().tolist())] = found.get(tuple(seen.ravel().tolist()), 0) + 1
    kinds = 8 if len(quarters) == 3 else 4
    # Transposed with probability 0.6 * 2 / 3; both flips have probability one half, so the four of a kind are even.
    shares = {True: 0.4 / 4, False: 0.6 / 4} if kinds == 8 else {False: 1 / 4}
    assert len(found) == kinds
    for view, count in found.items():
        transposed = abs(view[1] - view[0]) == 2
        assert _share_of(count, shares[transposed]), (view, count)


def test_crop_interpolates_a_rectangle_of_the_size_and_shape_asked_for(scenes):
    """A ramp shows where each pixel comes from: rows in red, columns in green."""
    height, width, crop = 120, 160, (48, 48)
    rows, columns = np.mgrid[:height, :width]
    ramp = np.stack([rows, columns, np.zeros_like(rows)], -1).astype(np.uint8)
    ramps = np.broadcast_to(ramp, (COUNT, *ramp.shape))
    masks = np.broadcast_to(columns >= 80, (COUNT, height, width))
    images, labels = _augment(ramps, masks, crop_size=crop, scale=(0.5, 1.0), ratio=(0.75, 4 / 3))
    y, x = images[..., 0] * 255, images[..., 1] * 255
    # Between the edges, where positions are not held at the outermost pixel's centre.
    steps = np.stack([y[:, 24, 24] - y[:, 23, 24], x[:, 24, 24] - x[:, 24, 23]], -1)
    extent = steps * 48 / [height, width]
    assert extent.max() < 1 + 1e-4
    # The crop is square, so the photograph's own shape is no part of the ratio.
    area, ratio = extent.prod(-1), steps[:, 1] / steps[:, 0]
    unclipped = extent.max(-1) < 1 - 1e-4
    assert 0.5 - 1e-3 < area[unclipped].min() < 0.55 and 0.9 < area.max() < 1 + 1e-3
    assert 0.75 - 1e-3 < ratio.min() < 0.8 and 1.25 < ratio.max() < 4 / 3 + 1e-3
    start = np.stack([y[:, 24, 24], x[:, 24, 24]], -1) - 24.5 * steps + 0.5
    assert start.min() > -1e-2 and (start + steps * 48 <= np.array([height, width]) + 1e-2).all()
    expected = map_coordinates(ramp[..., 1].astype(float), [y[0], x[0]], order=1)
    np.testing.assert_allclose(x[0], expected, atol=1e-3)
    # The mask's edge lies between columns 79 and 80.
    clear = np.abs(x - 79.5) > 1e-3
    np.testing.assert_array_equal(labels[clear] == 1, (x > 79.5)[clear])


def test_views_move_image_and_mask_together_and_masks_have_two_values(scenes):
    images, labels = _augment(*scenes, scale=(0.5, 1.0), ratio=(0.75, 4 / 3), flip=0.5, turns=0.5)
    # The red channel is the mask, so after the same interpolation it is above one half exactly where the label is.
    np.testing.assert_array_equal(images[..., 0] >= 0.5 - 1e-6, labels == 1)
    assert set(np.unique(labels)) == {0.0, 1.0}
    assert (labels != scenes[1]).any(axis=(1, 2)).mean() > 0.9


def _drawn(key, name, largest):
    return float(jax.random.uniform(stream(stream(key, "colour"), name), minval=-largest, maxval=largest))


def test_colour_jitter_is_matplotlibs_in_float64(scenes):
    changes = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.2, "hue": 0.05}
    # With a crop in front, whose interpolation the compiler may fuse with the colours.
    images, _ = _augment(*scenes, **changes, scale=(0.5, 0.9))
    cropped, _ = _augment(*scenes, scale=(0.5, 0.9))
    for key, image, expected in zip(KEYS[:32], images, cropped.astype(np.float64), strict=False):
        factors = {name: _drawn(key, name, largest) for name, largest in changes.items()}
        expected = np.clip(expected * (1 + factors["brightness"]), 0, 1)
        mean = expected.mean((0, 1))
        expected = np.clip((expected - mean) * (1 + factors["contrast"]) + mean, 0, 1)
        hsv = rgb_to_hsv(expected)
        hsv[..., 1] = np.clip(hsv[..., 1] * (1 + factors["saturation"]), 0, 1)
        hsv[..., 0] = (hsv[..., 0] + factors["hue"]) % 1
        np.testing.assert_allclose(image, hsv_to_rgb(hsv), atol=1e-4)


@pytest.mark.parametrize("colour", [0.0, 0.3, 1.0])
def test_grey_and_black_have_no_hue_to_turn(colour):
    config = dataclasses.replace(STILL, saturation=0.5, hue=0.5)
    image = colour_jitter(KEYS[0], jnp.full((4, 4, 3), colour), config)
    np.testing.assert_allclose(image, colour, atol=1e-6)


def test_greyscale_weighs_the_channels_as_often_as_asked(scenes):
    images, _ = _augment(*scenes, greyscale=0.3)
    grey = np.ptp(images, axis=-1).max(axis=(1, 2)) < 1e-6
    assert _share_of(grey.sum(), 0.3)
    luma = scenes[0][grey] / 255.0 @ [0.2989, 0.5870, 0.1140]
    np.testing.assert_allclose(images[grey, ..., 0], luma, atol=1e-5)
    np.testing.assert_allclose(images[~grey], scenes[0][~grey] / 255.0, atol=1e-6)


def test_blur_is_scipys_as_often_as_asked(scenes):
    sigma = 1.5
    images, labels = _augment(*scenes, blur=0.3, blur_sigma=(sigma, sigma))
    originals = scenes[0] / 255.0
    blurred = np.abs(images - originals).max(axis=(1, 2, 3)) > 1e-3
    assert _share_of(blurred.sum(), 0.3)
    expected = gaussian_filter(originals[blurred], (0, sigma, sigma, 0), mode="nearest", radius=5)
    np.testing.assert_allclose(images[blurred], expected, atol=1e-5)
    np.testing.assert_array_equal(labels, scenes[1])


def test_sigma_of_the_blur_fills_its_range():
    """A point spreads with the variance of the blur; the kernel ends at three times the largest sigma."""
    point = jnp.zeros((25, 25, 3)).at[12, 12].set(1.0)
    config = dataclasses.replace(STILL, blur=1.0, blur_sigma=(0.5, 2.0))
    spread = np.asarray(jax.vmap(lambda key: random_blur(key, point, config))(KEYS))[..., 0].sum(axis=1)
    stds = np.sqrt(spread @ (np.arange(25) - 12.0) ** 2)
    assert 0.45 < stds.min() < 0.55 and 1.9 < stds.max() < 2.0
    assert abs(stds.mean() - 1.25) < 5 * 1.5 / np.sqrt(12 * COUNT)


def test_an_example_depends_on_its_own_key_alone(scenes):
    everything = AugmentationConfig(crop_size=(SIDE, SIDE), turns=0.5)
    run = jax.jit(lambda *arrays: augment(*arrays, everything))
    images, labels, _ = run(KEYS[:8], *_whole(*(array[:8] for array in scenes)))
    backwards, labels_backwards, _ = run(KEYS[:8][::-1], *_whole(*(array[:8][::-1] for array in scenes)))
    np.testing.assert_allclose(images, backwards[::-1], atol=1e-6)
    np.testing.assert_array_equal(labels, labels_backwards[::-1])
    assert images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("flip", 1.5, "augmentation.flip is 1.5: give a probability from 0 to 1"),
        ("blur", -0.1, "augmentation.blur is -0.1"),
        ("blur_sigma", (2.0, 1.0), "augmentation.blur_sigma is (2.0, 1.0): give a smallest and a largest above 0"),
        ("scale", (0.0, 1.0), "augmentation.scale is (0.0, 1.0)"),
    ],
)
def test_what_cannot_be_is_one_line(field, value, words):
    with pytest.raises(InputError, match=re.escape(words)):
        AugmentationConfig(**{field: value})
