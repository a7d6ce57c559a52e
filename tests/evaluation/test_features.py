"""Features of photographs against the network's own branches, and a model that has novelty from start to file."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spotrust_jax
from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.novelty import FARTHEST, NoveltyCalibration, fit_known_features
from spotrust_jax.calibration.promises import Promise
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.errors import InputError
from spotrust_jax.evaluation.features import feature_set, photograph_features
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.segmenter import build_network, normalize
from tests.trained_like import trained_like

MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)
ANALYSIS = Analysis(64, 1, tile_size=64, overlap=32)


@pytest.fixture(scope="module")
def plain():
    return Segmenter(trained_like(MODEL, 2), CheckpointConfig(MODEL, 2, (0.5,) * 3, (0.2,) * 3, 64))


@pytest.fixture(scope="module")
def segmenter(plain):
    parts = [feature_set(plain, SurveySceneDataset(split, 24, 64), ANALYSIS) for split in ("train", "validation")]
    assert all(len(set(one.groups)) >= 19 for one in parts)
    novelty = NoveltyCalibration("novelty.safetensors", 0.05, 24, 24)
    return dataclasses.replace(
        plain, config=dataclasses.replace(plain.config, novelty=novelty), known=fit_known_features(*parts)
    )


def test_features_are_means_of_the_first_members_branches(plain):
    image = SurveySceneDataset("train", 1, 64)[0].image
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), plain.variables)
    normal = normalize(jnp.asarray(image[None] / np.float32(255)), plain.config.mean, plain.config.std)
    branches = build_network(MODEL).apply(first, normal, method="features").branches
    wanted = [
        np.asarray(one)[0].reshape(2, one.shape[1] // 2, 2, -1, one.shape[3]).mean(axis=(1, 3)) for one in branches
    ]
    found = photograph_features(plain, image, ANALYSIS).reshape(2, 2, -1)
    np.testing.assert_allclose(found, np.concatenate(wanted, axis=-1), atol=1e-4)


def test_novelty_changes_no_map_and_is_the_same_in_a_batch(plain, segmenter):
    images = np.stack([example.image for example in SurveySceneDataset("test", 2, 64)])
    together, alone = segmenter.predict(images), plain.predict(images)
    for name in alone.names:
        np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))
    assert alone.novelty is None and together.local_novelty.min() >= 0 and together.local_novelty.max() <= FARTHEST
    with pytest.raises(InputError, match="a batch of 2 images"):
        _ = together.novelty
    cells = [photograph_features(plain, image, ANALYSIS) for image in images]
    for index, one in enumerate(cells):
        expected = segmenter.known.novelty(one.mean(axis=0))
        assert together[index].novelty.score == pytest.approx(expected.score, rel=1e-4)


def test_tiles_are_one_photograph(segmenter):
    noise = np.random.default_rng(0).integers(0, 255, (64, 128, 3), np.uint8)
    tiled = analyse(segmenter, noise, dataclasses.replace(ANALYSIS, scale=None))
    parts = [segmenter.predict(noise[:, start : start + 64], scale="native") for start in (0, 32, 64)]
    # Squared sines weight overlapping tiles: a quarter of the photograph's length is the outer ones' alone.
    weights = np.array([0.375, 0.25, 0.375])
    expected = sum(w * part.pooled_features for w, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(tiled.pooled_features, expected, rtol=1e-3, atol=1e-4)
    assert tiled.novelty.novel == segmenter.known.novelty(tiled.pooled_features).novel
    assert tiled.local_novelty.shape == (64, 128)


def test_members_on_two_devices_have_the_novelty_of_one(segmenter):
    image = SurveySceneDataset("test", 1, 64)[0].image
    (spread,) = segmenter.spread(jax.devices()[:2])
    assert spread.predict(image).novelty.score == pytest.approx(segmenter.predict(image).novelty.score, rel=1e-4)


def test_a_saved_model_has_its_novelty_and_a_member_has_none(segmenter, tmp_path):
    segmenter.save(tmp_path / "model")
    loaded = spotrust_jax.load(tmp_path / "model")
    assert loaded.config == segmenter.config and loaded.config.novelty == segmenter.config.novelty
    assert loaded.fingerprint == segmenter.fingerprint
    assert loaded.fingerprint != dataclasses.replace(loaded, known=None).fingerprint
    promising = dataclasses.replace(
        loaded.config, areas=AreaCalibration(0.1, 0.1, 0.9, 20), promise=Promise("miss_rate")
    )
    member = dataclasses.replace(loaded, config=promising).member(0)
    assert member.known is None and not member.config.novelty.file
    assert not member.config.areas.groups and not member.config.promise.fear
    member.save(tmp_path / "member")
    assert spotrust_jax.load(tmp_path / "member").known is None
