"""Novelty against scipy and scikit-learn, its limit in a simulation, and its file."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from spotrust_jax.calibration import novelty
from spotrust_jax.calibration.conformal import group_quantile
from spotrust_jax.calibration.novelty import FeatureSet, NoveltyCalibration
from spotrust_jax.checkpoints import CheckpointConfig, read_known_features, write_config, write_known_features
from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError

CONFIG = CheckpointConfig(ModelConfig("deterministic", "w18_small_v1", width=4), 1, (0.5,) * 3, (0.2,) * 3, 64)


def correlated(rng, samples, channels=6):
    mixing = np.random.default_rng(7).normal(size=(channels, channels))
    return (rng.normal(size=(samples, channels)) @ mixing + 3).astype(np.float32)


def features(rng, photographs, groups):
    cells = correlated(rng, photographs * 8).reshape(photographs, 8, 6)
    return FeatureSet(correlated(rng, photographs), cells, tuple(f"g{i % groups}" for i in range(photographs)))


def sets(photographs=60, groups=20):
    """In training, and held out."""
    rng = np.random.default_rng(0)
    return features(rng, photographs, groups), features(rng, 40, groups)


@pytest.mark.parametrize("samples", [8, 500])
def test_covariance_is_shrunk_as_ledoit_and_wolf_say(samples):
    x = correlated(np.random.default_rng(0), samples).astype(np.float64)
    x -= x.mean(axis=0)
    np.testing.assert_allclose(novelty.shrunk_covariance(x), ledoit_wolf(x, assume_centered=True)[0], rtol=1e-9)


def test_distance_of_cells_is_that_of_the_normal_density():
    training, held_out = sets()
    known = novelty.fit_known_features(training, held_out)
    cells = training.cells.reshape(-1, 6).astype(np.float64)
    mean, std = cells.mean(axis=0), cells.std(axis=0)
    covariance = ledoit_wolf((cells - mean) / std, assume_centered=True)[0] * np.outer(std, std)
    density = multivariate_normal(mean, covariance)
    new = correlated(np.random.default_rng(1), 12).astype(np.float64) + 1
    wanted = np.sqrt(2 * (density.logpdf(mean) - density.logpdf(new)))
    found = known.cell_distances(new.reshape(3, 4, 6)) * known.cell_limit
    np.testing.assert_allclose(found.ravel(), wanted, rtol=5e-3)  # matrices are in half precision


def test_distance_of_photographs_is_that_of_the_nearest_known_one():
    training, held_out = sets()
    known = novelty.fit_known_features(training, held_out)
    x = training.pooled.astype(np.float64)
    std = x.std(axis=0)
    inverse = np.linalg.inv(ledoit_wolf((x - x.mean(axis=0)) / std, assume_centered=True)[0] * np.outer(std, std))
    wanted = cdist(held_out.pooled, x, "mahalanobis", VI=inverse).min(axis=1)
    np.testing.assert_allclose(known.photograph_distances(held_out.pooled), wanted, rtol=1e-2)
    found = known.novelty(held_out.pooled[3])
    assert found.score == pytest.approx(wanted[3] / known.limit, rel=1e-2) and found.novel == (found.score > 1)


def test_what_is_far_from_everything_is_novel_and_what_is_known_is_not():
    training, held_out = sets()
    known = novelty.fit_known_features(training, held_out)
    assert known.novelty(training.pooled[0]).score < 0.1
    assert known.novelty(training.pooled[0] + 50).novel
    assert np.isclose((known.photograph_distances(held_out.pooled) > known.limit).mean(), 0.05, atol=0.05)


def test_a_share_of_new_groups_exceeds_the_limit():
    """Groups of one to seven photographs with a level of their own, 400 times: at most 5% of new ones."""
    rng = np.random.default_rng(0)

    def drawn(count):
        sizes = rng.integers(1, 8, count)
        groups = np.repeat(np.arange(count), sizes)
        return rng.normal(size=count)[groups] + 0.5 * rng.normal(size=len(groups)), [str(group) for group in groups]

    exceeded = []
    for _ in range(400):
        limit = group_quantile(*drawn(79), 0.95)
        scores, groups = drawn(200)
        _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
        exceeded.append(((scores > limit) / counts[place]).sum() / len(counts))
    error = np.std(exceeded) / np.sqrt(len(exceeded))
    assert 0.03 < np.mean(exceeded) < 0.05 + 2 * error


def test_too_few_groups_or_photographs_are_refused():
    training, held_out = sets(groups=18)
    with pytest.raises(InputError, match="are of 18 groups, and a limit that 5% of new ones exceed needs 19"):
        novelty.fit_known_features(training, held_out)
    one = FeatureSet(training.pooled[:1], training.cells[:1], training.groups[:1])
    with pytest.raises(InputError, match="fitted to 1 photographs"):
        novelty.fit_known_features(one, sets()[1])


def test_dead_channels_and_few_photographs_leave_distances_finite():
    training, held_out = sets(photographs=3)
    training.pooled[:, 2] = training.cells[..., 2] = 0.0
    known = novelty.fit_known_features(training, held_out)
    assert np.isfinite(known.photograph_distances(held_out.pooled)).all() and known.limit > 0
    assert np.isfinite(known.cell_distances(held_out.cells)).all()


def test_features_that_hardly_vary_are_refused_before_a_file_is_written():
    training, held_out = (FeatureSet(one.pooled * 1e-4, one.cells * 1e-4, one.groups) for one in sets(500))
    training.cells[..., 2] = 0.0
    with pytest.raises(InputError, match="features hardly vary, and novelty needs some that do"):
        novelty.fit_known_features(training, held_out)


def test_features_of_another_network_are_refused():
    known = novelty.fit_known_features(*sets())
    with pytest.raises(InputError, match="has 5 features and its novelty 6: fit novelty to this model again"):
        known.novelty(np.zeros(5, np.float32))


@pytest.fixture
def folder(tmp_path):
    config = dataclasses.replace(CONFIG, novelty=NoveltyCalibration("novelty.safetensors", 0.05, 60, 20))
    write_config(tmp_path, config)
    write_known_features(tmp_path, novelty.fit_known_features(*sets()))
    return tmp_path, config


def test_the_file_gives_the_same_scores(folder):
    path, config = folder
    assert read_known_features(path, CONFIG) is None
    known, read = novelty.fit_known_features(*sets()), read_known_features(path, config)
    new = correlated(np.random.default_rng(3), 5)
    np.testing.assert_array_equal(read.photograph_distances(new), known.photograph_distances(new))
    np.testing.assert_array_equal(read.cell_distances(new), known.cell_distances(new))
    assert (read.limit, read.cell_limit) == (known.limit, known.cell_limit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda known: dataclasses.replace(known, known=known.known[:, :3]), "known is missing or has another shape"),
        (lambda known: dataclasses.replace(known, limit=0.0), "the limits are not positive"),
        (lambda known: dataclasses.replace(known, limit=float("nan")), "limits has values that are not finite"),
    ],
)
def test_a_damaged_file_is_one_line(folder, change, message):
    path, config = folder
    write_known_features(path, change(novelty.fit_known_features(*sets())))
    with pytest.raises(InputError, match=message) as raised:
        read_known_features(path, config)
    assert "novelty.safetensors is damaged" in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_file_and_another_name_are_one_line(folder):
    path, config = folder
    (path / "novelty.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="is damaged"):
        read_known_features(path, config)
    (path / "novelty.safetensors").unlink()
    with pytest.raises(InputError, match=r"is missing, which config\.json beside it names"):
        read_known_features(path, config)
    values = json.loads((path / "config.json").read_text())["novelty"]
    with pytest.raises(InputError, match=r"its name is novelty\.safetensors"):
        read_known_features(path, dataclasses.replace(config, novelty=NoveltyCalibration(**values | {"file": "../x"})))


def test_whitened_features_are_uncorrelated():
    x = correlated(np.random.default_rng(0), 5000)
    white = novelty.fit_whitening(x)(x).astype(np.float64)
    covariance = np.cov(white.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.01)
    # Shrinkage makes large variances smaller and small ones larger, a little.
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.1)
