"""Tiles and augmentations of photographs against maps that are known for every pixel."""

import dataclasses
import re

import jax
import numpy as np
import pytest
from PIL import Image

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.promises import Promise
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, parse_scale, predict_photograph, scale_note
from spotrust_jax.inference.test_time_augmentation import AUGMENTATIONS, combine
from spotrust_jax.sampling.passes import sample_keys
from tests.inference.known_segmenter import CONFIG, KnownSegmenter, known_maps


@pytest.fixture(scope="module")
def photograph():
    """Smooth enough for its maps to survive resizing."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC))


def assert_known(prediction, photograph, atol):
    known = known_maps(photograph)
    np.testing.assert_allclose(prediction.probability, known.probability, atol=atol)
    np.testing.assert_allclose(prediction.epistemic, known.epistemic, atol=atol)
    np.testing.assert_allclose(prediction.log_variance, known.log_variance, atol=atol)


def test_tiles_of_one_shape_give_what_the_whole_gives(photograph):
    segmenter = KnownSegmenter()
    prediction = predict_photograph(segmenter, photograph, Analysis(None, tile_size=96, overlap=32))
    assert len(segmenter.calls) == 6 and set(segmenter.calls) == {(96, 96)}
    assert_known(prediction, photograph, atol=1e-6)


def test_whole_where_one_tile_covers_it(photograph):
    segmenter = KnownSegmenter()
    prediction = predict_photograph(segmenter, photograph, Analysis(None, tile_size=224, overlap=32))
    assert segmenter.calls == [(150, 200)]
    np.testing.assert_array_equal(prediction.probability, known_maps(photograph).probability)


@pytest.mark.parametrize("tile_size", [96, 224])
def test_views_agree_where_nothing_depends_on_them(photograph, tile_size):
    segmenter = KnownSegmenter()
    analysis = Analysis(None, tile_size=tile_size, overlap=32, augment=True)
    prediction = predict_photograph(segmenter, photograph, analysis)
    assert_known(prediction, photograph, atol=0.02)
    assert prediction.augmentation.max() < 0.03
    assert len(set(segmenter.calls)) == 3 + (tile_size == 224)  # and turned, where the part is no square


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda augmentation: augmentation.name)
def test_each_augmentation_comes_back_to_its_place(photograph, augmentation):
    seen = augmentation.image(photograph)
    assert augmentation.name == "as it is" or seen.shape != photograph.shape or not np.array_equal(seen, photograph)
    back = augmentation.restored(known_maps(seen), *photograph.shape[:2])
    np.testing.assert_allclose(back.probability, known_maps(photograph).probability, atol=0.06)


def test_spread_over_augmentations_is_apart_from_the_epistemic_one():
    rng = np.random.default_rng(0)
    predictions = [known_maps(rng.integers(0, 256, (5, 6, 3), np.uint8)) for _ in range(3)]
    combined = combine(predictions)
    probabilities = np.array([p.probability for p in predictions], np.float64)
    stds = np.array([p.epistemic for p in predictions], np.float64)
    np.testing.assert_allclose(combined.probability, probabilities.mean(0), atol=1e-6)
    np.testing.assert_allclose(combined.augmentation, probabilities.std(0), atol=1e-6)
    np.testing.assert_allclose(combined.epistemic, np.sqrt((stds**2).mean(0)), atol=1e-6)


def test_tiles_share_what_is_drawn_for_the_photograph():
    keys = jax.random.split(jax.random.key(3), 1)
    here, there = sample_keys(keys, 5, 1), sample_keys(keys, 5, 2)
    same = [
        jax.random.key_data(a).tolist() == jax.random.key_data(b).tolist() for a, b in zip(here, there, strict=True)
    ]
    assert dict(zip(here._fields, same, strict=True)) == {"weights": True, "masks": True, "cells": False}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tile_size": 100}, "tile_size is 100: give a multiple of 32"),
        ({"tile_size": 32}, "from 64 up"),
        ({"tile_size": 64, "overlap": 0}, "overlap is 0: give a multiple of 32 up to 32"),
        ({"tile_size": 64, "overlap": 64}, "overlap is 64"),
    ],
)
def test_tiles_that_cannot_be(settings, words):
    with pytest.raises(InputError, match=words):
        Analysis(None, **settings)


@pytest.mark.parametrize("text", ["²", "6²", "①", "-64", "64.0", "", "8", "9" * 5000])
def test_scale_that_is_no_number_of_pixels_is_one_line(text):
    with pytest.raises(InputError, match=f"--scale={re.escape(text)} is not a scale: give trained, native or a number"):
        parse_scale(text, 640)


def test_what_was_measured_at_the_trained_scale_is_not_promised_at_another():
    areas = dataclasses.replace(CONFIG, inference_size=64, areas=AreaCalibration(0.1, 0.1, 0.9, 20))
    promise = dataclasses.replace(CONFIG, inference_size=64, promise=Promise("miss_rate"))
    assert scale_note(areas, Analysis(64)) is None and scale_note(CONFIG, Analysis(None)) is None
    assert "analysed at 96 pixels and the model was trained at 64: intervals" in str(scale_note(areas, Analysis(96)))
    assert "analysed at their own size" in str(scale_note(promise, Analysis(None)))
