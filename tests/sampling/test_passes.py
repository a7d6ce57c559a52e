"""Passes and members against explicit forward passes whose moments numpy takes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import entr

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.fast.folding import fold_norms, folded_network
from spotrust_jax.models.segmenter import build_network
from spotrust_jax.random import content_keys, fold_each
from spotrust_jax.sampling.moments import merge, moments_of, no_moments, std
from spotrust_jax.sampling.passes import predict_maps, sample_keys
from tests.trained_like import trained_like

SIZE = 64
VARIANTS = {
    "deterministic": ModelConfig("deterministic", "w18_small_v1", width=4),
    "variational": ModelConfig("variational", "w18_small_v1", width=4),
    "kernel": ModelConfig("variational", "w18_small_v1", width=4, estimator="kernel"),
    "dropout": ModelConfig("dropout", "w18_small_v1", width=4),
    "channel": ModelConfig("dropout", "w18_small_v1", width=4, dropout_mask="channel"),
}


@functools.cache
def _members(variant: str, count: int):
    """Variables of `count` members whose outputs differ visibly from cell to cell."""
    return build_network(VARIANTS[variant]), trained_like(VARIANTS[variant], count)


@functools.cache
def _images():
    return jax.random.normal(jax.random.key(3), (2, SIZE, SIZE, 3))


@functools.cache
def _predict(variant: str, num_samples: int):
    options = {"num_samples": num_samples, "decomposed": True}
    return jax.jit(functools.partial(predict_maps, folded_network(VARIANTS[variant]), **options))


@functools.cache
def _maps(variant: str, num_samples: int = 4, members: int = 1, seed: int = 0):
    _, variables = _members(variant, members)
    keys = jax.random.split(jax.random.key(seed), 2)
    return _predict(variant, num_samples)(fold_norms(variables), _images(), keys)


def test_merged_moments_equal_numpy_at_a_large_offset():
    values = np.random.default_rng(0).normal(1000.0, 0.01, (24, 5)).astype(np.float32)
    moments = no_moments(jnp.zeros(5))
    with jax.numpy_dtype_promotion("strict"):
        for chunk in jnp.asarray(values).reshape(6, 4, 5):
            moments = merge(moments, moments_of(chunk))
    exact = values.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(0), rtol=1e-7)
    np.testing.assert_allclose(std(moments), exact.std(0), rtol=2e-2)


@pytest.mark.parametrize(("variant", "members"), [("variational", 2), ("dropout", 1), ("channel", 1), ("kernel", 1)])
def test_epistemic_is_standard_deviation_of_full_passes(variant, members):
    """Of the network as it was trained, with batch norm and its head all at once, in all passes of all members."""
    network, variables = _members(variant, members)
    full_pass = jax.jit(network.apply)
    outputs = []
    # One image at a time: kernel draws belong to a photograph, not to a batch.
    for member, sample, i in itertools.product(range(members), range(4), range(2)):
        one = jax.tree.map(lambda leaf: leaf[member], variables)  # noqa: B023
        keys = fold_each(jax.random.split(jax.random.key(0), 2), member)
        outputs.append(full_pass(one, _images()[i : i + 1], sample_keys(keys[i : i + 1], sample)))
    logits, log_variance = (
        np.array(values, np.float64).reshape(members, 4, 2, SIZE, SIZE) for values in zip(*outputs, strict=True)
    )
    probability = 1 / (1 + np.exp(-logits))
    maps = _maps(variant, members=members)
    np.testing.assert_allclose(maps.probability, probability.mean((0, 1)), atol=2e-5)
    np.testing.assert_allclose(maps.epistemic, probability.std((0, 1)), atol=2e-5)
    np.testing.assert_allclose(maps.log_variance, log_variance.mean((0, 1)), atol=1e-5)
    assert maps.epistemic.mean() > 1e-3
    _check_decomposition(maps, probability.reshape(-1, 2, SIZE, SIZE))
    if members == 1:
        assert maps.ensemble_spread is None
        return
    np.testing.assert_allclose(maps.ensemble_spread, probability.mean(1).std(0), atol=2e-5)
    within = np.sqrt(maps.epistemic**2 - maps.ensemble_spread**2)
    np.testing.assert_allclose(within**2, probability.var(1).mean(0), atol=2e-5)


def _check_decomposition(maps, probability):
    """Against all passes [passes, batch, height, width] in float64."""
    entropy = entr(probability.mean(0)) + entr(1 - probability.mean(0))
    within = (entr(probability) + entr(1 - probability)).mean(0)
    np.testing.assert_allclose(maps.decomposition.entropy, entropy, atol=3e-5)
    np.testing.assert_allclose(maps.decomposition.mutual_information, entropy - within, atol=3e-5)
    np.testing.assert_allclose(maps.decomposition.pass_variance, (probability * (1 - probability)).mean(0), atol=2e-5)
    assert maps.decomposition.mutual_information.mean() > 1e-5


def test_ensemble_is_mean_and_std_over_members():
    network, variables = _members("deterministic", 3)
    apply = jax.jit(network.apply)
    outputs = [apply(jax.tree.map(lambda leaf, m=m: leaf[m], variables), _images()) for m in range(3)]
    probability = 1 / (1 + np.exp(-np.asarray([logits for logits, _ in outputs], np.float64)))
    maps = _maps("deterministic", 1, 3)
    np.testing.assert_allclose(maps.probability, probability.mean(0), atol=5e-5)
    np.testing.assert_allclose(maps.epistemic, probability.std(0), atol=1e-5)
    np.testing.assert_allclose(maps.log_variance, np.mean([s for _, s in outputs], axis=0), atol=1e-5)
    _check_decomposition(maps, probability)


@pytest.mark.parametrize("variant", ["variational", "channel", "kernel"])
def test_number_of_passes_may_be_known_late(variant):
    network, variables = _members(variant, 1)
    folded, keys = fold_norms(variables), jax.random.split(jax.random.key(0), 2)
    maps = functools.partial(predict_maps, folded_network(network.config), folded, _images(), keys)
    predict = jax.jit(lambda count: maps(num_samples=count, decomposed=True))
    for found, expected in zip(jax.tree.leaves(predict(4)), jax.tree.leaves(_maps(variant)), strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-6)
    assert predict(1).epistemic.max() == 0


@pytest.mark.parametrize("variant", ["variational", "dropout", "kernel"])
def test_seed_decides(variant):
    first, other = _maps(variant), _maps(variant, seed=1)
    assert not np.array_equal(first.probability, other.probability)
    again = _maps.__wrapped__(variant)
    np.testing.assert_array_equal(first.probability, again.probability)
    np.testing.assert_array_equal(first.epistemic, again.epistemic)


def test_seed_does_not_matter_to_the_ensemble():
    np.testing.assert_array_equal(_maps("deterministic", 1, 3).epistemic, _maps("deterministic", 1, 3, 1).epistemic)


def test_content_keys_do_not_depend_on_the_batch():
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    together, alone = content_keys(jax.random.key(0), images), content_keys(jax.random.key(0), images[1:2])
    assert jax.random.key_data(together[1]).tolist() == jax.random.key_data(alone[0]).tolist()
    assert jax.random.key_data(together[0]).tolist() != jax.random.key_data(together[1]).tolist()
