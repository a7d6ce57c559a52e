"""Training steps on many devices against the same steps on one, and what a step must not do."""

import dataclasses
import functools
import os

import jax
import numpy as np
import pytest

from spotrust_jax.config import AugmentationConfig, DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.parallel import Placement
from spotrust_jax.training.state import initial_state, state_shapes
from spotrust_jax.training.step import DeviceBatch, train_step
from tests.training.runs import assert_same_weights, run_steps, whole_batch

SIZE, BATCH, STEPS, IMAGES = 64, 8, 20, 24
# The whole network in place of the small one: slow.
STUDY = "SPOTRUST_STUDY" in os.environ
CONFIG = TrainConfig(
    model=ModelConfig("variational", "w18_small_v1", width=4),
    data=DataConfig(image_size=SIZE, mean=(0.6, 0.55, 0.53), std=(0.19, 0.21, 0.22)),
    augmentation=AugmentationConfig(crop_size=(SIZE, SIZE)),
    # The whole network doubles its rounding with every large step.
    optimizer=OptimizerConfig("sgd", 0.001 if STUDY else 0.01),
    batch_size=BATCH,
)


@pytest.fixture(scope="module", autouse=not STUDY)
def small_network(small_step):
    """The backbone of one convolution a branch, without augmentation: the placement does not know the network."""


def _batch(member: int, step: int) -> DeviceBatch:
    rng = np.random.default_rng([member, step])
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    masks = images[..., 0] > 180
    return whole_batch(images, masks)


@functools.cache
def _scenes(member: int, step: int) -> DeviceBatch:
    """What there is to learn: on noise the losses of two runs drift apart sooner."""
    scenes = SceneDataset(dataclasses.replace(DEMO_SCENES, size=SIZE), "train", 3 * STEPS * BATCH)
    examples = [scenes[(member * STEPS + step) * BATCH + row] for row in range(BATCH)]
    images, masks = (np.stack([getattr(example, name) for example in examples]) for name in ("image", "mask"))
    return whole_batch(images, masks)


def _run(config: TrainConfig, devices: int, first: int = 0, state=None, steps: int = STEPS, batch=_batch):
    """States and losses [steps, members]; members see the data of those from number `first` on."""
    batches = [{m: batch(first + m, number) for m in range(config.members)} for number in range(steps)]
    states, losses = run_steps(config, devices, initial_state(config) if state is None else state, batches, IMAGES)
    return states, np.array(losses)


@pytest.fixture(scope="module")
def alone():
    """One network on one device."""
    return _run(CONFIG, 1)


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_a_single_network_is_the_same_on_any_number_of_devices(alone, devices):
    states, losses = _run(CONFIG, devices)
    assert_same_weights(states[-1], alone[0][-1])
    np.testing.assert_allclose(losses, alone[1], rtol=1e-4)
    moved = jax.tree.map(lambda new, old: np.abs(new - old).max(), states[-1].variables, states[0].variables)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_three_members_on_eight_devices_equal_three_single_runs(alone):
    ensemble = dataclasses.replace(CONFIG, members=3)
    start = initial_state(ensemble)
    states, losses = _run(ensemble, 8, state=start)
    for member in range(3):
        single = jax.tree.map(lambda leaf: leaf[member : member + 1], start)  # noqa: B023
        expected = _run(CONFIG, 1, first=member, state=single)
        assert_same_weights(jax.tree.map(lambda leaf: leaf[member : member + 1], states[-1]), expected[0][-1])  # noqa: B023
        np.testing.assert_allclose(losses[:, member], expected[1][:, 0], rtol=1e-4)


def test_a_stopped_member_stays_as_it_is_while_the_other_learns():
    config = dataclasses.replace(CONFIG, members=2)
    start = initial_state(config)
    stopped = start._replace(schedule=start.schedule._replace(stopped=np.array([True, False])))
    states, losses = _run(config, 1, state=stopped, steps=2)
    for one, other in zip(jax.tree.leaves(states[-1]), jax.tree.leaves(stopped), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert states[-1].step.tolist() == [0, 2] and (losses[:, 0] == 0).all() and (losses[:, 1] > 0).all()


@pytest.mark.parametrize(("members", "devices"), [(1, 8), (3, 8)] if STUDY else [(3, 8)])
def test_default_adam_has_the_same_first_gradients_and_losses(members, devices):
    config = dataclasses.replace(CONFIG, members=members, optimizer=OptimizerConfig(learning_rate=0.003))
    many, one = (_run(config, count, batch=_scenes) for count in (devices, 1))
    gradients = [jax.tree.leaves(jax.tree.map(lambda leaf: leaf / 0.1, state[0][1].optimizer)) for state in (many, one)]
    scale = max(np.abs(leaf).max() for leaf in gradients[1])
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(many[1], one[1], rtol=1e-3)


def test_a_single_network_begins_as_the_first_member_of_an_ensemble():
    single, ensemble = initial_state(CONFIG), initial_state(dataclasses.replace(CONFIG, members=2))
    assert single.key_data[0].tolist() == ensemble.key_data[0].tolist()
    for one, several in zip(jax.tree.leaves(single.variables), jax.tree.leaves(ensemble.variables), strict=True):
        np.testing.assert_allclose(one[0], several[0], atol=1e-6)
    kernels = ensemble.variables["params"]["head"]["mix"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])


def test_training_learns(alone):
    states, losses = alone
    assert losses[-5:].mean() < losses[:5].mean()
    assert states[-1].step.tolist() == [STEPS] and states[-1].bad_step.tolist() == [-1]
    np.testing.assert_allclose(states[-1].loss_sum, losses.sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_step_lowers_for_accelerators(platform):
    step = jax.jit(train_step(CONFIG, Placement(1, 1), IMAGES))
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state_shapes(CONFIG))
    text = step.trace(state, _batch(0, 0)).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text
