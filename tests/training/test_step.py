"""Training steps on many devices against the same steps on one, and what a step must not do."""

import dataclasses

import jax
import numpy as np
import pytest

from spotrust_jax.config import AugmentationConfig, DataConfig, OptimizerConfig, TrainConfig
from spotrust_jax.ensemble import Placement, over_members
from spotrust_jax.models.segmenter import ModelConfig
from spotrust_jax.training.state import initial_state, state_shapes
from spotrust_jax.training.step import DeviceBatch, train_step

SIZE, BATCH, STEPS, PIXELS = 64, 4, 3, 100_000
CONFIG = TrainConfig(
    model=ModelConfig("variational", "w18_small_v1", width=4),
    data=DataConfig(image_size=(SIZE, SIZE), mean=(0.6, 0.55, 0.53), deviation=(0.19, 0.21, 0.22)),
    augmentation=AugmentationConfig(crop_size=(SIZE, SIZE)),
    # Adam turns rounding noise of vanishing gradients into full steps; with a large eps it is gradient descent.
    optimizer=OptimizerConfig(learning_rate=0.03, eps=0.1),
    members=2,
    batch_size=BATCH,
)


def _batch(member: int, step: int) -> DeviceBatch:
    rng = np.random.default_rng([member, step])
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    masks = images[..., 0] > 180
    return DeviceBatch(images, masks, np.ones(BATCH, bool), np.arange(BATCH, dtype=np.int32))


def _run(members: int, devices: int):
    """State and losses [steps, members] after a few steps."""
    placement = Placement(members, devices)
    config = dataclasses.replace(CONFIG, members=members)
    step = over_members(train_step(config, placement, PIXELS), placement, jax.devices()[:devices])
    state, losses = placement.spread(initial_state(config)), []
    for number in range(STEPS):
        batches = [_batch(member, number) for member in range(members)]
        batch = DeviceBatch(*(np.stack(leaves) for leaves in zip(*batches, strict=True)))
        state, loss = step(state, placement.split(batch))
        losses.append(np.asarray(placement.gather(loss)))
    return placement.gather(state), np.array(losses)


@pytest.fixture(scope="module")
def in_turn():
    """Two members in turn on one device."""
    return _run(2, 1)


def test_members_and_replicas_on_devices_equal_members_in_turn(in_turn):
    # The losses of later steps depend on all weights; single weights differ by rounding that batch norm amplifies.
    _, losses = _run(2, 4)
    np.testing.assert_allclose(losses, in_turn[1], rtol=1e-4)


def test_a_single_network_begins_as_the_first_member_of_an_ensemble():
    single = initial_state(dataclasses.replace(CONFIG, members=1))
    ensemble = initial_state(CONFIG)
    assert single.key_data[0].tolist() == ensemble.key_data[0].tolist()
    for one, several in zip(jax.tree.leaves(single.variables), jax.tree.leaves(ensemble.variables), strict=True):
        np.testing.assert_allclose(one[0], several[0], atol=1e-6)
    kernels = ensemble.variables["params"]["head"]["mix"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])


def test_training_learns(in_turn):
    assert (in_turn[1][-1] < in_turn[1][0]).all()
    assert (np.asarray(in_turn[0].step) == STEPS).all()
    assert (np.asarray(in_turn[0].bad_step) == -1).all()


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_step_lowers_for_accelerators(platform):
    config = dataclasses.replace(CONFIG, members=1)
    step = jax.jit(train_step(config, Placement(1, 1), PIXELS))
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state_shapes(config))
    text = step.trace(state, _batch(0, 0)).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text
