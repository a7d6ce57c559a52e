"""Fits of the last layer against closed forms, and the maps of both variants against draws in numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from spotrust_jax.calibration.promises import Promise
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import LossConfig, ModelConfig, TrainConfig
from spotrust_jax.data.scenes import SceneConfig, SceneDataset
from spotrust_jax.errors import InputError
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.segmenter import build_network
from spotrust_jax.models.variants.logit_noise import log_likelihoods, noisy_logits
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.parallel import Placement
from spotrust_jax.training.checks import check_training
from spotrust_jax.training.objective import data_loss
from spotrust_jax.training.post_hoc.features import Cells, cached_cells
from spotrust_jax.training.post_hoc.fit import with_last_layer
from spotrust_jax.training.post_hoc.laplace import curvature, observations_of_a_cell, posterior
from spotrust_jax.training.post_hoc.logit_noise import fit_noisy_logit
from tests.trained_like import trained_like

MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)
SCENES = SceneConfig("test", 64, 0.0, (0.1, 0.3))
KEYS = jax.random.split(jax.random.key(0), 1)


@pytest.fixture(scope="module")
def trained():
    """A deterministic network with a last layer that is not near zero."""
    config = CheckpointConfig(MODEL, 1, (0.4,) * 3, (0.25,) * 3, 64, positive_weight=2.0)
    return Segmenter(trained_like(MODEL), config)


@pytest.fixture(scope="module")
def scenes():
    return SceneDataset(SCENES, "train", 4)


@pytest.fixture(scope="module")
def others():
    return SceneDataset(SCENES, "validation", 2)


@pytest.fixture(scope="module")
def image(scenes):
    return scenes[0].image


def _rows(segmenter, image):
    """Activations and logits of each cell, from the network as it was trained, with batch norm."""
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), segmenter.variables)
    network = build_network(dataclasses.replace(MODEL))
    normal = (jnp.asarray(image[None], jnp.float32) / 255 - 0.4) / 0.25
    return np.asarray(network.apply(variables, normal, method="last_layer_inputs"), np.float64)[0]


@pytest.mark.parametrize(("logit", "log_variance"), [(0.3, -1.0), (-4.0, 1.5), (30.0, 2.0), (-2.0, -10.0)])
def test_mean_over_noise_equals_the_integral(logit, log_variance):
    std = np.exp(0.5 * log_variance)
    mean, _ = quad(lambda e: norm.pdf(e) * expit(logit + std * e), -12, 12, points=[0], limit=200)
    positive, negative = log_likelihoods(jnp.float32(logit), jnp.float32(log_variance))
    np.testing.assert_allclose(np.exp(positive), mean, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(np.exp(positive) + np.exp(negative), 1, atol=2e-6)
    np.testing.assert_allclose(noisy_logits(jnp.float32(logit), jnp.float32(log_variance)), positive - negative)


def _cells(inputs, labels):
    """Every cell there is, without attenuation."""
    inputs = np.append(inputs, np.ones((len(inputs), 1)), axis=1).astype(np.float32)
    ones = np.ones(len(inputs), np.float32)
    return Cells(inputs, np.asarray(labels, np.float32), ones, ones)


def _part(cells, kept):
    """Some of the cells, each of which stands for as many as all of them together do."""
    part = Cells(*(values[kept] for values in cells))
    return part._replace(counts=np.full(len(kept), len(cells.labels) / len(kept), np.float32))


CROSS_ENTROPY = CheckpointConfig(MODEL, 1, (0.4,) * 3, (0.25,) * 3, 64, positive_weight=3.0, loss="cross_entropy")
ATTENUATED = dataclasses.replace(CROSS_ENTROPY, loss="attenuated")


@pytest.mark.parametrize("config", [CROSS_ENTROPY, ATTENUATED], ids=["cross-entropy", "attenuated"])
def test_curvature_equals_automatic_differentiation(config):
    """Of the loss that training minimises, pixels of a cell alike, summed over all cells."""
    rng = np.random.default_rng(0)
    weights, log_variance = rng.normal(size=5), rng.normal(size=50).astype(np.float32)
    cells = _cells(rng.normal(size=(50, 4)), rng.random(50) < 0.5)
    loss = LossConfig(kind=config.loss, positive_weight=3.0, dice_weight=0.0, log_variance_bounding="clamp")

    def total(w):
        logits, s, labels = (
            jnp.asarray(values)[None, None] for values in (cells.inputs @ w, log_variance, cells.labels)
        )
        return 50 * data_loss(logits, s, labels, KEYS, loss)

    exact = jax.hessian(total)(jnp.asarray(weights, jnp.float32))
    cells = cells._replace(attenuation=np.exp(-log_variance) / 2)
    np.testing.assert_allclose(curvature(cells, weights, config), exact, rtol=1e-4, atol=1e-4)
    twice = Cells(*(np.repeat(values, 2, axis=0) for values in cells))
    np.testing.assert_allclose(
        curvature(twice._replace(counts=twice.counts / 2), weights, config), exact, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["dice", "focal", "logit_noise"])
def test_losses_that_are_no_likelihood_have_no_posterior(kind):
    with pytest.raises(InputError, match=f"loss.kind={kind}"):
        curvature(_cells(np.zeros((3, 1)), [0, 1, 0]), np.zeros(2), dataclasses.replace(CROSS_ENTROPY, loss=kind))


def _logistic_regression(inputs, labels):
    """The weights of the highest likelihood, in float64."""
    inputs = np.append(inputs, np.ones((len(inputs), 1)), axis=1)
    weights = np.zeros(inputs.shape[1])
    for _ in range(30):
        p = expit(inputs @ weights)
        weights -= np.linalg.solve((inputs * (p * (1 - p))[:, None]).T @ inputs, inputs.T @ (p - labels))
    return weights


def test_posterior_of_a_logistic_regression_is_the_closed_form_whatever_the_budget():
    """Its standard deviation where all cells are kept, and where 200, 1,000 or 5,000 of 20,000 stand for all."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(20_000, 3))
    labels = rng.random(20_000) < expit(inputs @ [1.0, -2.0, 0.5] - 1.0)
    config, weights = dataclasses.replace(CROSS_ENTROPY, positive_weight=1.0), _logistic_regression(inputs, labels)
    cells, points = _cells(inputs, labels), np.append(rng.normal(size=(100, 3)), np.ones((100, 1)), axis=1)
    p = expit(cells.inputs.astype(np.float64) @ weights)
    hessian = (cells.inputs * (p * (1 - p))[:, None]).T.astype(np.float64) @ cells.inputs
    found = posterior(curvature(cells, weights, config), weights)
    covariance = np.linalg.inv(hessian + found.prior_precision * np.eye(4))
    exact = np.sqrt(np.einsum("ni,ij,nj->n", points, covariance, points))
    np.testing.assert_allclose(np.linalg.norm(points @ found.root, axis=1), exact, rtol=1e-5)
    for budget in (200, 1000, 5000):
        part = _part(cells, rng.permutation(20_000)[:budget])
        root = posterior(curvature(part, weights, config), weights).root
        np.testing.assert_allclose(np.linalg.norm(points @ root, axis=1).mean(), exact.mean(), rtol=2 / np.sqrt(budget))


def test_effective_sample_size_counts_what_is_repeated_once():
    """100 observations that come 16 times each, as neighbouring cells do: each is worth a sixteenth."""
    rng, true = np.random.default_rng(6), np.array([1.0, -1.0, 0.5, 0.0, 0.0, 0.3])
    config = dataclasses.replace(CROSS_ENTROPY, positive_weight=1.0)
    found = {1: [], 16: []}
    for _ in range(12):
        inputs, others = rng.normal(size=(100, 6)), rng.normal(size=(4000, 6))
        labels, other_labels = (rng.random(len(x)) < expit(x @ true) for x in (inputs, others))
        weights = _logistic_regression(inputs, labels)
        for times, shares in found.items():
            cells = _cells(np.repeat(inputs, times, axis=0), np.repeat(labels, times))
            hessian = curvature(cells, weights, config)
            shares.append(observations_of_a_cell(hessian, weights, _cells(others, other_labels), 1.0))
    alone, repeated = (np.exp(np.mean(np.log(values))) for values in found.values())
    assert 0.1 < alone < 2.0
    np.testing.assert_allclose(repeated, alone / 16, rtol=0.25)


def test_posterior_is_that_of_linear_regression():
    """With a quadratic loss the approximation is exact, and its prior is the one of the highest evidence."""
    rng = np.random.default_rng(1)
    design, true = rng.normal(size=(300, 6)), rng.normal(0, 0.5, 6)
    hessian, target = design.T @ design, design @ true + rng.normal(size=300)
    precision = 1.0
    for _ in range(50):
        weights = np.linalg.solve(hessian + precision * np.eye(6), design.T @ target)
        found = posterior(hessian, weights)
        precision = found.prior_precision
    np.testing.assert_allclose(
        found.root @ found.root.T, np.linalg.inv(hessian + precision * np.eye(6)), rtol=1e-6, atol=1e-12
    )

    def evidence(log_precision):
        covariance = np.eye(300) + design @ design.T / np.exp(log_precision)
        return -0.5 * (np.linalg.slogdet(covariance)[1] + target @ np.linalg.solve(covariance, target))

    grid = np.linspace(np.log(precision) - 0.5, np.log(precision) + 0.5, 41)
    assert abs(grid[np.argmax([evidence(x) for x in grid])] - np.log(precision)) < 0.06


def test_laplace_passes_are_draws_of_the_weights(trained, scenes, others, image):
    segmenter = with_last_layer(trained, "laplace", scenes, others)
    rows = np.append(_rows(trained, image).reshape(-1, 60), np.ones((256, 1)), axis=1)
    # Narrow, so that probabilities follow logits in first order.
    drawn = segmenter.variables["params"]["laplace"]["root"]
    drawn *= 0.05 / np.linalg.norm(rows @ drawn[0], axis=1).mean()
    root = np.asarray(segmenter.variables["params"]["laplace"]["root"][0], np.float64)
    last = trained.variables["params"]["head"]["logit"]
    weights = np.append(last["kernel"][0, 0, 0, :, 0], last["bias"][0])
    mean, std = rows @ weights, np.linalg.norm(rows @ root, axis=1)
    found = segmenter.predict(image, key=jax.random.key(0), num_samples=200)
    # Of the logit at the middle of each cell, which the probability's standard deviation follows in first order.
    slope = expit(mean) * (1 - expit(mean))
    cells = found.epistemic.reshape(16, 4, 16, 4)[:, 1:3, :, 1:3].mean((1, 3)).ravel()
    assert np.corrcoef(cells, slope * std)[0, 1] > 0.9
    np.testing.assert_allclose(cells.mean(), (slope * std).mean(), rtol=0.1)
    plain = trained.predict(image, key=jax.random.key(0))
    assert np.abs(found.probability - plain.probability).mean() < 0.01


def test_noise_is_found_again():
    """Labels of a noisy logit whose mean and log variance are both linear."""
    rng = np.random.default_rng(2)
    inputs = np.append(rng.normal(size=(60_000, 2)), np.ones((60_000, 1)), axis=1).astype(np.float32)
    mean, noise = np.array([3.0, 0.0, 0.5]), np.array([0.0, 1.5, 1.0])
    logits = inputs @ mean + np.exp(0.5 * (inputs @ noise)) * rng.normal(size=60_000)
    labels = (rng.random(60_000) < expit(logits)).astype(np.float32)
    found = fit_noisy_logit(_cells(inputs[:, :2], labels), np.array([2.0, 0.0, 0.3]), 1.0)
    np.testing.assert_allclose(found.mean / found.mean[0], mean / mean[0], atol=0.1)
    assert found.log_variance[1] > 0.5 and abs(found.log_variance[0]) < 0.4


def test_logit_noise_is_part_of_the_probability(trained, scenes, image):
    promising = dataclasses.replace(trained.config, promise=Promise("miss_rate"), threshold_rule="a miss rate")
    segmenter = with_last_layer(dataclasses.replace(trained, config=promising), "logit_noise", scenes, most=2000)
    assert not segmenter.config.promise.fear and "before its last layer" in segmenter.config.threshold_rule
    found = segmenter.predict(image, key=jax.random.key(0), num_samples=3)
    again = segmenter.predict(image, key=jax.random.key(5), num_samples=1)
    np.testing.assert_array_equal(found.probability, again.probability)
    assert found.epistemic.max() == 0 and found.log_variance.std() > 0


def test_cells_have_the_share_of_corrosion(trained, scenes):
    found = cached_cells(trained, scenes, 10**6)
    np.testing.assert_allclose(found.labels.mean(), np.mean([example.mask.mean() for example in scenes]), atol=1e-6)
    np.testing.assert_allclose(found.inputs[:, -1], 1)
    some = cached_cells(trained, scenes, 100)
    assert len(some.labels) == 100 and found.counts.sum() == len(found.labels)
    np.testing.assert_allclose(some.counts.sum(), len(found.labels), rtol=1e-6)


def test_cells_that_are_ignored_teach_nothing(trained, scenes):
    """A quarter of every scene is ignored, and corroded in the mask: only the other cells are there."""

    def partly(example):
        ignored = np.zeros(example.mask.shape, bool)
        ignored[:16, :] = True
        return example._replace(mask=example.mask | ignored, ignored=ignored)

    known = [partly(example) for example in scenes]
    found = cached_cells(trained, Listed(known), 10**6)
    assert len(found.labels) == len(known) * 16 * 12
    np.testing.assert_allclose(found.labels.mean(), np.mean([one.mask[16:].mean() for one in known]), atol=1e-6)


class Listed(list):
    """Examples as a data set."""

    @property
    def names(self):
        return tuple(example.name for example in self)


def test_only_deterministic_networks_are_fitted(trained, scenes):
    config = dataclasses.replace(trained.config, model=ModelConfig("dropout", "w18_small_v1", width=4))
    with pytest.raises(InputError, match="deterministic"):
        with_last_layer(dataclasses.replace(trained, config=config), "laplace", scenes, scenes)
    with pytest.raises(InputError, match="final_kernel"):
        variant_of(ModelConfig("laplace", "w18_small_v1", final_kernel=3))
    with pytest.raises(InputError, match="spotrust last_layer"):
        check_training(TrainConfig(model=ModelConfig("laplace")), Placement(1, 1))
