"""The public way in: images of all kinds, batches, bad input, and lowering for accelerators."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

import spotrust_jax
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter, compiled_maps, compiled_sizes
from spotrust_jax.random import content_keys
from tests.inference.known_segmenter import KnownSegmenter
from tests.trained_like import trained_like

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def segmenter():
    """A small variational network with random weights."""
    model = ModelConfig("variational", "w18_small_v1", width=4)
    config = CheckpointConfig(model, 1, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), inference_size=64)
    return Segmenter(trained_like(model), config)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def together(segmenter, images):
    return segmenter.predict(images, key=KEY, num_samples=4)


def test_alone_and_in_a_batch(segmenter, images, together):
    alone = segmenter.predict(images[1], key=KEY, num_samples=4)
    assert alone.probability.shape == (64, 64)
    np.testing.assert_allclose(alone.probability, together.probability[1], atol=2e-6)
    np.testing.assert_allclose(alone.epistemic, together.epistemic[1], atol=2e-6)
    np.testing.assert_allclose(alone.log_variance, together.log_variance[1], atol=2e-6)


def test_uint8_equals_float(segmenter, images, together):
    # Noise follows the content, which is the same once it is rounded to 8 bits.
    floats = segmenter.predict(images / np.float32(255), key=KEY, num_samples=4)
    np.testing.assert_allclose(floats.log_variance, together.log_variance, atol=1e-5)
    np.testing.assert_allclose(floats.probability, together.probability, atol=1e-6)


def test_log_variance_is_the_bounded_one_of_the_loss(segmenter, images, together):
    # Random weights stay far inside the default clamp at 10, so `together` has the network's own output.
    smooth = dataclasses.replace(segmenter.config, log_variance_bound=0.01, log_variance_bounding="smooth")
    bounded = Segmenter(segmenter.variables, smooth).predict(images, key=KEY, num_samples=4)
    expected = 0.01 * np.tanh(together.log_variance.astype(np.float64) / 0.01)
    np.testing.assert_allclose(bounded.log_variance, expected, atol=1e-6)


def test_mask_is_at_the_threshold(together):
    np.testing.assert_array_equal(together.mask(), together.probability >= 0.5)
    np.testing.assert_array_equal(together.mask(0.2), together.probability >= 0.2)
    with pytest.raises(InputError, match=r"threshold is 1\.5"):
        together.mask(1.5)


def test_checkpoint_comes_back_as_it_was(segmenter, images, together, tmp_path):
    segmenter.save(tmp_path / "model")
    again = spotrust_jax.load(tmp_path / "model").predict(images, key=KEY, num_samples=4)
    np.testing.assert_array_equal(again.probability, together.probability)


def test_parts_of_a_photograph(segmenter, images):
    # Number 0 is what `predict` gives for the whole; another number draws other noise for the cells.
    whole = segmenter.predict(images[0], key=KEY, num_samples=4)
    key = content_keys(KEY, images[:1])[0]
    parts = [segmenter.predict_part(images[0], key, tile, 4) for tile in (0, 1)]
    np.testing.assert_array_equal(parts[0].probability, whole.probability)
    assert not np.array_equal(parts[1].probability, whole.probability)
    np.testing.assert_array_equal(parts[1].log_variance, whole.log_variance)
    assert (64, 64) in compiled_sizes(segmenter.config).sizes


def test_fingerprint_is_that_of_weights_and_settings(segmenter, tmp_path):
    segmenter.save(tmp_path / "model")
    assert spotrust_jax.load(tmp_path / "model").fingerprint == segmenter.fingerprint
    other = jax.tree.map(lambda leaf: leaf + np.float32(1e-3), segmenter.variables)
    assert Segmenter(other, segmenter.config).fingerprint != segmenter.fingerprint
    settings = dataclasses.replace(segmenter.config, threshold=0.4)
    assert Segmenter(segmenter.variables, settings).fingerprint != segmenter.fingerprint


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((64, 64), np.uint8), "shape"),
        (np.zeros((64, 64, 4), np.uint8), "shape"),
        (np.zeros((64, 31, 3), np.uint8), "32 pixels"),
        (np.zeros((0, 64, 64, 3), np.uint8), "shape"),
        (np.zeros((64, 64, 3), np.int32), "int32"),
        (np.full((64, 64, 3), 200.0, np.float32), "scale them"),
        (np.full((64, 64, 3), np.nan, np.float32), "scale them"),
    ],
)
def test_images_of_another_kind_are_refused(segmenter, image, words):
    with pytest.raises(InputError, match=words):
        segmenter.predict(image, key=KEY, scale="native")


@pytest.mark.parametrize("path", ["photographs/a.jpg", Path("photographs/a.jpg")])
def test_path_in_place_of_an_image_is_refused_with_what_reads_it(segmenter, path, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as it is outside of tests
    words = r"^image is 'photographs.a.jpg', the name of a file: .*spotrust_jax.io.images.read_image\(path\)$"
    with pytest.raises(InputError, match=words):
        segmenter.predict(path)


def test_scale_that_is_none_is_refused(segmenter, images):
    with pytest.raises(InputError, match="small is not a scale: give trained, native or a number"):
        segmenter.predict(images, scale="small")


def test_photograph_is_seen_at_the_trained_scale(segmenter):
    # What the network sees of a photograph of 16:9 has 32 x 64 pixels; its maps come back by Pillow, value by value.
    small = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    large = np.array(Image.fromarray(small).resize((160, 90), Image.Resampling.BICUBIC))
    seen = np.array(Image.fromarray(large).resize((64, 32), Image.Resampling.BILINEAR))
    expected = segmenter.predict(seen, num_samples=4, scale="native")
    found = segmenter.predict(large, num_samples=4)
    for name in found.names:
        values = Image.fromarray(getattr(expected, name)).resize((160, 90), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(getattr(found, name), np.asarray(values), atol=1e-5)


def test_image_larger_than_a_tile_is_tiled():
    known = KnownSegmenter()
    image = np.random.default_rng(0).integers(0, 256, (40, 1100, 3), np.uint8)
    prediction = known.predict(np.stack([image, image]), scale="native")
    assert len(known.calls) == 4 and max(max(shape) for shape in known.calls) <= 1024
    np.testing.assert_allclose(prediction.probability[1], image[..., 0] / np.float32(255), atol=1e-6)


def test_no_passes_are_refused(segmenter, images):
    with pytest.raises(InputError, match="num_samples is 0"):
        segmenter.predict(images, key=KEY, num_samples=0)


def test_member_that_does_not_exist(segmenter):
    with pytest.raises(InputError, match="member 1"):
        segmenter.member(1)


def test_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        spotrust_jax.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="format 1"):
        spotrust_jax.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        spotrust_jax.load(tmp_path)


@pytest.fixture(scope="module")
def ensemble(segmenter):
    """Four variational networks that differ."""
    variables = jax.tree.map(
        lambda leaf: jnp.concatenate([leaf * (1 + 0.1 * member) for member in range(4)]), segmenter.variables
    )
    return Segmenter(variables, dataclasses.replace(segmenter.config, members=4))


@pytest.fixture(scope="module")
def one_by_one(ensemble, images):
    return ensemble.predict(images, key=KEY, num_samples=2)


@pytest.mark.parametrize("devices", [2, 8])
def test_members_on_many_devices_equal_members_in_turn(ensemble, images, one_by_one, devices):
    segmenters = ensemble.spread(jax.devices()[:devices])
    assert [len(each.devices) for each in segmenters] == [min(devices, 4)] * max(1, devices // 4)
    spread = segmenters[-1].predict(images, key=KEY, num_samples=2)
    assert spread.names == one_by_one.names
    for name in spread.names:
        np.testing.assert_allclose(getattr(spread, name), getattr(one_by_one, name), atol=1e-5)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_predict_lowers_for_accelerators(segmenter, platform):
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)
    keys = jax.random.split(KEY, 1)
    traced = compiled_maps(segmenter.config).trace(segmenter.folded, images, keys, 4)
    assert "stablehlo.convolution" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_calibration_changes_the_probability_alone(segmenter, images, together):
    config = dataclasses.replace(segmenter.config, calibration=PlattScaling(0.7, -1.0), threshold=0.3)
    calibrated = dataclasses.replace(segmenter, config=config)
    found = calibrated.predict(images, key=KEY, num_samples=4)
    raw = together.probability.astype(np.float64)
    np.testing.assert_allclose(found.probability, expit(0.7 * logit(raw) - 1.0), atol=1e-6)
    np.testing.assert_array_equal(found.epistemic, together.epistemic)
    back = calibrated.uncalibrated.predict(images, key=KEY, num_samples=4)
    np.testing.assert_array_equal(back.probability, together.probability)
    assert (back.mask() == found.mask()).mean() > 0.999


def test_decomposition_comes_when_asked_for(segmenter, images, together):
    found = segmenter.predict(images, key=KEY, num_samples=4, decomposed=True)
    assert together.names == ("probability", "epistemic", "log_variance")
    assert found.names == (*together.names, "entropy", "mutual_information", "pass_variance", "expected_entropy")
    total = found.pass_variance + found.epistemic**2
    np.testing.assert_allclose(total, together.probability * (1 - together.probability), atol=1e-5)


def test_segmenter_and_prediction_are_shown_in_a_line():
    config = CheckpointConfig(
        ModelConfig("variational", "w18", width=4), 3, (0.5,) * 3, (0.2,) * 3, 640, threshold=0.25
    )
    shown = repr(Segmenter({"params": {"weight": np.ones((3, 1000))}}, config))
    assert shown == "Segmenter(3 x variational w18 of width 4, trained at 640 pixels, threshold 0.25)"
    maps = np.zeros((480, 640), np.float32)
    shown = repr(Prediction(maps, maps, maps, 0.25))
    assert shown == "Prediction(480 x 640: probability, epistemic, log_variance; threshold 0.25)"
