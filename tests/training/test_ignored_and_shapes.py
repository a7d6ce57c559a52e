"""What validation sees is what prediction sees, and what is ignored counts nowhere: against numpy and scikit-learn."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import AugmentationConfig, DataConfig, LossConfig, ModelConfig, OptimizerConfig, TrainConfig
from spotrust_jax.data.example import Example
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.images import resize_image, resize_label
from spotrust_jax.models.variants.variational import variational_kl
from spotrust_jax.parallel import DeviceGrid, Placement, over_members
from spotrust_jax.training.input_pipeline import MemberData, at_trained_size, validation_pipeline
from spotrust_jax.training.objective import data_loss
from spotrust_jax.training.state import initial_state
from spotrust_jax.training.step import train_step, validation_step
from spotrust_jax.training.validation import validate
from tests.training.runs import whole_batch

pytestmark = pytest.mark.usefixtures("small_step")

SCALE, IMAGES = 64, 10
CONFIG = TrainConfig(
    model=ModelConfig("deterministic", "w18_small_v1", width=2),
    data=DataConfig(image_size=SCALE, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
    augmentation=AugmentationConfig(crop_size=(SCALE, SCALE)),
    loss=LossConfig("attenuated", positive_weight=3.0),
    batch_size=2,
)


class Mixed:
    """Landscape, portrait, square, panorama and another landscape; a quarter of every second one is ignored."""

    sizes = ((90, 120), (128, 96), (70, 70), (40, 140), (96, 128))
    names = tuple("abcde")

    def __len__(self):
        return 5

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        image = np.kron(rng.integers(0, 256, (*self.sizes[index], 3), np.uint8)[::8, ::8], np.ones((8, 8, 1), np.uint8))
        image = image[: self.sizes[index][0], : self.sizes[index][1]]
        ignored = rng.random(image.shape[:2]) < 0.25 if index % 2 else None
        return Example(self.names[index], image, image[..., 0] > 170, self.names[index], ignored)

    def __iter__(self):
        return (self[index] for index in range(5))


@pytest.fixture(scope="module")
def state(small_step):
    """With weights and running statistics that are not those of the beginning."""
    start = initial_state(CONFIG)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + np.float32(0.1) * rng.normal(size=leaf.shape), start.variables["params"])
    # Means and variances alike: the latter stay positive.
    statistics = jax.tree.map(lambda leaf: leaf + 0.1 * rng.random(leaf.shape), start.variables["batch_stats"])
    moved = jax.tree.map(np.float32, {"params": params, "batch_stats": statistics})
    return start._replace(variables=moved)


@pytest.fixture(scope="module")
def validated(state):
    """Maps of each photograph at the shape in which it was seen, and the scores of the split."""
    config = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, image_size=128))
    grid, dataset, found = DeviceGrid(1, tuple(jax.devices()[:1])), Mixed(), {}
    data = at_trained_size((MemberData(dataset, dataset),), config)
    step = over_members(validation_step(config, grid.placement), grid)

    def watched(on_grid, batch):
        sums, maps = step(on_grid, batch)
        rows = jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], (batch.valid, batch.indices, maps))
        for row in np.flatnonzero(rows[0]):
            found[int(rows[1][row])] = jax.tree.map(lambda leaf: leaf[row], rows[2])  # noqa: B023
        return sums, maps

    feed = validation_pipeline(data, config, grid)
    scores, _ = validate(watched, grid.spread(state), feed, grid, between=lambda: None, num_panels=0)
    return found, scores


def _segmenter(state):
    model = CheckpointConfig(CONFIG.model, 1, CONFIG.data.mean, CONFIG.data.std, 128)
    return Segmenter(state.variables, dataclasses.replace(model, log_variance_bounding="smooth"))


def test_maps_of_validation_are_those_of_prediction(state, validated):
    segmenter, shapes = _segmenter(state), set()
    for index, example in enumerate(Mixed()):
        maps = validated[0][index]
        shapes.add(maps.probability.shape)
        resized = resize_image(example.image, *maps.probability.shape)
        expected = segmenter.predict(resized, scale="native", num_samples=1)
        np.testing.assert_allclose(maps.probability, expected.probability, atol=1e-5)
        np.testing.assert_allclose(maps.log_variance, expected.log_variance, atol=1e-4)
        assert maps.probability.std() > 1e-3
        # The photograph itself is seen so, too.
        whole = segmenter.predict(example.image, num_samples=1)
        assert whole.probability.shape == example.mask.shape
        np.testing.assert_allclose(whole.probability.mean(), expected.probability.mean(), atol=2e-3)
    assert shapes == {(96, 128), (128, 96), (128, 128), (32, 128)}


def test_scores_of_validation_leave_out_what_is_ignored(validated):
    maps, scores = validated
    probability, truth = [], []
    for index, example in enumerate(Mixed()):
        mask, ignored = resize_label(example.mask, example.ignored, *maps[index].probability.shape)
        scored = np.ones(mask.shape, bool) if ignored is None else ~ignored
        probability.append(maps[index].probability[scored])
        truth.append(mask[scored])
    probability, truth = np.concatenate(probability), np.concatenate(truth)
    called = probability >= 0.5
    np.testing.assert_allclose(scores["accuracy"], (called == truth).mean(), rtol=1e-6)
    np.testing.assert_allclose(scores["corroded_share"], truth.mean(), rtol=1e-6)
    f1 = 2 * (called & truth).sum() / (called.sum() + truth.sum())
    np.testing.assert_allclose(scores["f1_corrosion"], f1, rtol=1e-6)
    np.testing.assert_allclose(scores["average_precision"], average_precision_score(truth, probability), atol=2e-3)


def _batch(ignored, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, SCALE, SCALE, 3), np.uint8)
    return whole_batch(images, images[..., 0] > 150, ignored)


@pytest.fixture(scope="module")
def ignored():
    """Of the first image three quarters, of the second a column."""
    ignored = np.zeros((2, SCALE, SCALE), bool)
    ignored[0, 16:], ignored[1, :, :4] = True, True
    return ignored


@functools.cache
def _compiled_step(config):
    return jax.jit(train_step(config, Placement(1, 1), IMAGES))


def _step(config, state, batch):
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), state)
    return _compiled_step(config)(state, jax.tree.map(jnp.asarray, batch))


@pytest.mark.parametrize("kind", ["attenuated", "combo"])
def test_labels_below_what_is_ignored_change_no_weight(state, ignored, kind):
    config = dataclasses.replace(CONFIG, loss=LossConfig(kind))
    batch = _batch(ignored)
    after, loss = _step(config, state, batch)
    other, other_loss = _step(config, state, batch._replace(masks=batch.masks ^ ignored))
    if kind == "combo":  # also where all of one image is ignored
        everything = ignored | (np.arange(2) == 0)[:, None, None]
        assert np.isfinite(_step(config, state, batch._replace(ignored=everything))[1])
    assert loss == other_loss and np.isfinite(loss)
    for one, same in zip(jax.tree.leaves(after.variables), jax.tree.leaves(other.variables), strict=True):
        np.testing.assert_array_equal(one, same)


def test_kl_weighs_the_same_in_every_batch(state, ignored):
    """It is spread over the pixels of all crops of an epoch, also where next to nothing of a batch is scored."""
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, variant="variational"))
    start = initial_state(config)
    kl = float(variational_kl(jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), start.variables["params"]), 0.1))
    nearly_all = np.ones_like(ignored)
    nearly_all[0, :2, :2] = False
    for left_out in (ignored, np.zeros_like(ignored), nearly_all):
        losses = [
            float(_step(dataclasses.replace(config, loss=LossConfig(kl_weight=weight)), start, _batch(left_out))[1])
            for weight in (0.0, 1000.0)
        ]
        np.testing.assert_allclose(losses[1] - losses[0], 1000.0 * kl / (IMAGES * SCALE * SCALE), rtol=1e-3)


def test_nothing_is_learnt_where_nothing_is_known(state):
    after, loss = _step(CONFIG, state, _batch(np.ones((2, SCALE, SCALE), bool)))
    assert loss == 0
    for one, same in zip(
        jax.tree.leaves(after.variables["params"]), jax.tree.leaves(state.variables["params"]), strict=True
    ):
        np.testing.assert_array_equal(one, same[0])


@pytest.mark.parametrize(
    "optimizer",
    [OptimizerConfig("sgd", momentum=0.9), OptimizerConfig("adamw", weight_decay=0.1)],
    ids=["momentum", "decay"],
)
def test_nothing_moves_a_weight_where_nothing_is_known(state, ignored, optimizer):
    """Neither the gradients before nor the decay do, nor a prior."""
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    config = dataclasses.replace(config, model=dataclasses.replace(CONFIG.model, variant="variational"))
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), initial_state(config))
    step = _compiled_step(config)
    before, _ = step(start, jax.tree.map(jnp.asarray, _batch(ignored)))
    after, loss = step(before, jax.tree.map(jnp.asarray, _batch(np.ones_like(ignored))))
    assert loss == 0 and after.step == before.step + 1
    kept = [(each.variables["params"], each.optimizer) for each in (after, before, start)]
    for one, same in zip(jax.tree.leaves(kept[0]), jax.tree.leaves(kept[1]), strict=True):
        np.testing.assert_array_equal(one, same)
    moved = [not np.array_equal(*pair) for pair in zip(jax.tree.leaves(kept[1]), jax.tree.leaves(kept[2]), strict=True)]
    assert any(moved)


@pytest.mark.parametrize("kind", ["attenuated", "focal", "combo", "dice"])
def test_losses_are_means_over_what_is_scored(kind):
    """Two strips of one image each: ignoring one strip is having the other alone."""
    rng = np.random.default_rng(1)
    logits, log_variance = (jnp.asarray(rng.normal(size=(2, 6, 8)), jnp.float32) for _ in range(2))
    labels = jnp.asarray(rng.random((2, 6, 8)) < 0.4, jnp.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    scored = jnp.zeros((2, 6, 8), bool).at[:, :4].set(True)
    config = LossConfig(kind)
    expected = data_loss(logits[:, :4], log_variance[:, :4], labels[:, :4], keys, config)
    found, gradient = jax.value_and_grad(data_loss)(logits, log_variance, labels, keys, config, scored)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (gradient[:, 4:] == 0).all() and (gradient[:, :4] != 0).any()
