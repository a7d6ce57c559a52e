"""Entropies and variances against numpy in float64, also where logits are large."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import entr, expit

from spotrust_jax.sampling.decomposition import decompose, sample_terms
from spotrust_jax.sampling.moments import moments_of

SPREADS = {"plain": (0.0, 2.0), "saturated": (40.0, 20.0), "saturated low": (-40.0, 20.0), "wide": (0.0, 60.0)}


def _decompose(logits):
    with jax.numpy_dtype_promotion("strict"):
        terms = jax.tree.map(lambda values: jnp.mean(values, axis=0), sample_terms(logits))
        return moments_of(jax.nn.sigmoid(logits)), decompose(jnp.mean(jax.nn.sigmoid(logits), axis=0), terms)


@pytest.mark.parametrize("spread", SPREADS)
def test_decomposition_equals_float64(spread):
    logits = np.random.default_rng(0).normal(*SPREADS[spread], (24, 1000)).astype(np.float32)
    _, found = _decompose(jnp.asarray(logits))
    p, q = expit(logits.astype(np.float64)), expit(-logits.astype(np.float64))
    entropy = entr(p.mean(0)) + entr(q.mean(0))
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(found.mutual_information, entropy - (entr(p) + entr(q)).mean(0), atol=1e-6)
    np.testing.assert_allclose(found.pass_variance, (p * q).mean(0), rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(found.expected_entropy, (entr(p) + entr(q)).mean(0), rtol=1e-4, atol=1e-12)
    assert found.mutual_information.min() >= 0


def test_variances_add_up():
    moments, found = _decompose(jnp.asarray(np.random.default_rng(0).normal(0, 3, (24, 1000)), jnp.float32))
    variance = moments.squares / moments.count
    np.testing.assert_allclose(found.pass_variance + variance, moments.mean * (1 - moments.mean), atol=1e-6)


def test_passes_that_agree_share_no_information():
    _, found = _decompose(jnp.full((5, 3), 1.7))
    np.testing.assert_allclose(found.mutual_information, 0, atol=1e-7)
    _, found = _decompose(jnp.array([[100.0], [-100.0]]))
    np.testing.assert_allclose(found.mutual_information, np.log(2), rtol=1e-6)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_few_samples_understate_disagreement_by_a_known_factor(number):
    """Averages over all draws of so many from five equally likely values, as docs/uncertainty.md has them."""
    many = np.random.default_rng(1).normal(-1, 0.8, (5, 40))
    draws = np.array(list(itertools.product(range(5), repeat=number)))
    (all_moments, all_found), (moments, found) = (
        _decompose(jnp.asarray(values, jnp.float32)) for values in (many, many[draws].swapaxes(0, 1))
    )
    factor = (number - 1) / number
    np.testing.assert_allclose(
        (moments.squares / number).mean(axis=0), factor * all_moments.squares / all_moments.count, rtol=1e-5
    )
    np.testing.assert_allclose(found.mutual_information.mean(axis=0), factor * all_found.mutual_information, rtol=0.1)
