"""The area's interval against explicit passes of the network as it was trained, with draws of its own."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.area_interval import area_interval, coherent, has_coherent_samples, has_draws, why_no_draws
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.noise import noise_keys
from spotrust_jax.models.segmenter import build_network, initial_variables, normalize
from spotrust_jax.models.variants.registry import variant_of
from tests.trained_like import trained_like

ANALYSIS = Analysis(None, 4)
THRESHOLD = 0.5
VARIATIONAL = ModelConfig("variational", "w18_small_v1", width=4)


def segmenter_of(model, members=1, seed=0):
    def of_member(seed):
        variables = jax.device_get(initial_variables(model, jax.random.key(seed)))
        # The last layer starts near zero.
        last = np.array(jax.random.normal(jax.random.key(seed + 9), (1, 1, 60, 1)))
        variables["params"]["head"]["logit"]["kernel"] = last
        return variables

    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *map(of_member, range(seed, seed + members)))
    return Segmenter(stacked, CheckpointConfig(model, members, (0.5,) * 3, (0.2,) * 3, 64))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def area_draws(segmenter, image, analysis, threshold, draws):
    analysis = dataclasses.replace(analysis, num_samples=draws)
    return analyse(coherent(segmenter), image, analysis, area_threshold=threshold).areas


def explicit_areas(segmenter, image, model, count):
    """Corroded shares in passes one after the other, with keys that the library does not use."""
    network = build_network(model)
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), segmenter.variables)
    images = normalize(jnp.asarray(image[None] / np.float32(255)), segmenter.config.mean, segmenter.config.std)

    @jax.jit
    def each(keys):
        features = network.apply(variables, images, method="features")
        decode = lambda key: network.apply(variables, features, noise_keys(key, key[None]), method="decode")  # noqa: E731
        return jax.lax.map(lambda key: jnp.mean(decode(key) >= 0), keys)

    return np.asarray(each(jax.random.split(jax.random.key(123), count)))


def test_interval_is_that_of_two_thousand_kernel_draws(image):
    model = ModelConfig("variational", "w18_small_v1", width=4)  # whose maps draw activations
    segmenter = segmenter_of(model, seed=8)  # whose area is neither near 0 nor near 1
    brute = explicit_areas(segmenter, image, dataclasses.replace(model, estimator="kernel"), 2000)
    found = area_draws(segmenter, image, ANALYSIS, THRESHOLD, 2000)
    # Within five standard errors of the mean, and quantiles within the ranks that so many draws leave open.
    assert abs(found.mean() - brute.mean()) < 5 * brute.std() * (2 / 2000) ** 0.5
    interval = area_interval(found)
    for end, (low, high) in ((interval.low, (0.013, 0.04)), (interval.high, (0.96, 0.987))):
        assert np.quantile(brute, low) <= end <= np.quantile(brute, high)
    assert interval.draws == 2000 and interval.low < interval.high
    # Drawn activations average out over the photograph, and would make the interval far too narrow.
    assert explicit_areas(segmenter, image, model, 200).std() < 0.5 * brute.std()


def test_weights_are_folded_once_for_all_photographs():
    segmenter = Segmenter(trained_like(VARIATIONAL), CheckpointConfig(VARIATIONAL, 1, (0.5,) * 3, (0.2,) * 3, 64))
    for _ in range(2):
        assert all(map(operator.is_, jax.tree.leaves(coherent(segmenter).folded), jax.tree.leaves(segmenter.folded)))
    noise = [variant_of(one.config.model).noise for one in (coherent(segmenter), segmenter)]
    assert noise == ["weights", "cell"]


def test_channel_masks_are_drawn_for_the_whole_photograph(image):
    model = ModelConfig("dropout", "w18_small_v1", width=4, dropout_mask="channel")
    segmenter = segmenter_of(model, seed=8)  # whose area is neither near 0 nor near 1
    brute, found = explicit_areas(segmenter, image, model, 400), area_draws(segmenter, image, ANALYSIS, THRESHOLD, 400)
    assert abs(found.mean() - brute.mean()) < 5 * brute.std() * (2 / 400) ** 0.5
    np.testing.assert_allclose(found.std(), brute.std(), rtol=0.25)


def test_members_of_an_ensemble_are_the_draws(image):
    segmenter = segmenter_of(ModelConfig("deterministic", "w18_small_v1", width=4), members=3)
    found = area_draws(segmenter, image, ANALYSIS, THRESHOLD, 50)
    members = [segmenter.member(i).predict(image, key=ANALYSIS.key).mask(THRESHOLD).mean() for i in range(3)]
    np.testing.assert_allclose(found, members, atol=2 / 64**2)
    calibrated = dataclasses.replace(segmenter.config, calibration=PlattScaling(1.0, -1.0))
    calibrated = dataclasses.replace(segmenter, config=calibrated)
    members = [calibrated.member(i).predict(image, key=ANALYSIS.key).mask(0.3).mean() for i in range(3)]
    np.testing.assert_allclose(area_draws(calibrated, image, ANALYSIS, 0.3, 1), members, atol=2 / 64**2)


def test_tiles_share_the_draws():
    # Kernels that are drawn for each tile would average out between tiles.
    model = ModelConfig("variational", "w18_small_v1", width=4)
    segmenter = segmenter_of(model)
    image = np.random.default_rng(1).integers(0, 256, (128, 96, 3), np.uint8)
    whole = area_draws(segmenter, image, ANALYSIS, THRESHOLD, 60)
    tiled = area_draws(segmenter, image, Analysis(None, 4, tile_size=64, overlap=32), THRESHOLD, 60)
    assert np.corrcoef(whole, tiled)[0, 1] > 0.8
    np.testing.assert_allclose(tiled.std(), whole.std(), rtol=0.2)


@pytest.mark.parametrize(
    ("model", "members", "in_passes", "more", "words"),
    [
        (ModelConfig("dropout"), 1, False, False, "elementwise dropout"),
        (ModelConfig("dropout"), 3, False, False, "elementwise dropout"),
        (ModelConfig("deterministic"), 1, False, False, "no second opinion"),
        (ModelConfig("deterministic"), 3, True, False, None),
        (ModelConfig("dropout", dropout_mask="channel"), 1, True, True, None),
        (ModelConfig("variational"), 1, False, True, None),
        (ModelConfig("variational", estimator="kernel"), 1, True, True, None),
    ],
)
def test_which_networks_have_coherent_draws(model, members, in_passes, more, words):
    config = CheckpointConfig(model, members, (0.5,) * 3, (0.2,) * 3, 64)
    reason = why_no_draws(config)
    assert reason is None if words is None else words in reason
    assert (has_coherent_samples(config), has_draws(config)) == (in_passes, more)


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig("variational", "w18_small_v1", width=4, estimator="kernel"),
        ModelConfig("dropout", "w18_small_v1", width=4, dropout_mask="channel"),
    ],
    ids=["kernel", "channel"],
)
def test_areas_of_members_on_several_devices_are_in_order(image, model):
    segmenter = segmenter_of(model, members=2)
    (spread,) = segmenter.spread(jax.devices()[:2])
    asked = {"analysis": ANALYSIS, "area_threshold": THRESHOLD}
    whole, apart = analyse(segmenter, image, **asked), analyse(spread, image, **asked)
    assert whole.areas.shape == apart.areas.shape == (2 * ANALYSIS.num_samples,)
    np.testing.assert_allclose(apart.areas, whole.areas, atol=2 / 64**2)
    first = analyse(segmenter.member(0), image, **asked)
    np.testing.assert_allclose(whole.areas[: ANALYSIS.num_samples], first.areas, atol=2 / 64**2)
    # Counting leaves the maps as they are.
    np.testing.assert_allclose(whole.probability, analyse(segmenter, image, ANALYSIS).probability, atol=1e-6)


def test_views_leave_the_areas_of_the_photograph_as_it_is(image):
    segmenter = segmenter_of(ModelConfig("variational", "w18_small_v1", width=4, estimator="kernel"))
    augmented = analyse(segmenter, image, dataclasses.replace(ANALYSIS, augment=True), area_threshold=THRESHOLD)
    np.testing.assert_array_equal(augmented.areas, analyse(segmenter, image, ANALYSIS, area_threshold=THRESHOLD).areas)
