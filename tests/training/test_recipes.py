"""What training adds to the paper's recipe, in steps of a small network: pieces, frozen parts, averages, rates."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import (
    AugmentationConfig,
    DataConfig,
    FineTuningConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from spotrust_jax.errors import InputError
from spotrust_jax.models.layers import Norm, convolve
from spotrust_jax.parallel import Placement
from spotrust_jax.training.checks import check_pieces
from spotrust_jax.training.compiled import finish_epoch
from spotrust_jax.training.state import initial_state
from spotrust_jax.training.step import DeviceBatch, validation_step
from tests.training.runs import run_steps, whole_batch

pytestmark = pytest.mark.usefixtures("small_step")

SIZE, BATCH, RATE = 32, 4, 0.01
# Epochs of two steps.
IMAGES = 2 * BATCH
CONFIG = TrainConfig(
    model=ModelConfig("deterministic", "w18_small_v1", width=2),
    data=DataConfig(image_size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
    augmentation=AugmentationConfig(crop_size=(SIZE, SIZE)),
    loss=LossConfig("logit_noise", noise_samples=3),
    optimizer=OptimizerConfig("sgd", RATE),
    batch_size=BATCH,
)


def _batch(step: int) -> DeviceBatch:
    rng = np.random.default_rng(step)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    return whole_batch(images, images[..., 0] > 150)


def _run(config: TrainConfig, steps: int, devices: int = 1) -> list:
    """States [1, ...] at the start and after each step."""
    state = initial_state(dataclasses.replace(config, fine_tuning=FineTuningConfig()))
    return run_steps(config, devices, state, [{0: _batch(number)} for number in range(steps)], IMAGES)[0]


def _assert_close(found, expected, **tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def _running_statistics_only(call, args, kwargs, context):
    """Batch norm by its running statistics, also in training."""
    return call(args[0], False) if isinstance(context.module, Norm) else call(*args, **kwargs)


@pytest.fixture(scope="module")
def in_two_pieces():
    return _run(dataclasses.replace(CONFIG, accumulation=2), 3)


def test_pieces_equal_the_whole_batch_where_batch_norm_is_frozen():
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, variant="variational"))
    config = dataclasses.replace(config, loss=LossConfig("combo"))
    with nn.intercept_methods(_running_statistics_only):
        whole = _run(config, 3)
        pieces = _run(dataclasses.replace(config, accumulation=4), 3)
    _assert_close(pieces[-1].variables, whole[-1].variables, atol=1e-5)
    assert np.abs(whole[-1].variables["params"]["head"]["logit"]["bias"]).max() > 1e-3


def test_pieces_hold_the_same_examples_on_two_devices(in_two_pieces):
    on_two = _run(dataclasses.replace(CONFIG, accumulation=2), 3, devices=2)
    _assert_close(on_two[-1].variables, in_two_pieces[-1].variables, atol=1e-5)


def test_running_statistics_of_pieces_move_once_a_step_by_their_mean(in_two_pieces):
    start, first = (jax.tree.map(lambda leaf: leaf[0], state.variables) for state in in_two_pieces[:2])
    kernel = start["params"]["aleatoric"]["stem"]["unit1"]["conv"]["kernel"]
    images = (_batch(0).images / 255 - 0.5) / 0.2
    outputs = np.asarray(convolve(jnp.asarray(images, jnp.float32), jnp.asarray(kernel), 2))
    found = first["batch_stats"]["aleatoric"]["stem"]["unit1"]["norm"]
    np.testing.assert_allclose(found["mean"], 0.1 * outputs.mean((0, 1, 2)), atol=1e-6)
    variances = [outputs[piece::2].var((0, 1, 2)) for piece in (0, 1)]
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * np.mean(variances, axis=0), rtol=1e-5)


def test_share_that_does_not_divide_is_one_line():
    config = dataclasses.replace(CONFIG, accumulation=3)
    with pytest.raises(InputError, match=r"config\.accumulation is 3, but each device's share of a batch has 2 ex"):
        check_pieces(config, Placement(1, 2))
    with pytest.raises(InputError, match="accumulation is 0"):
        dataclasses.replace(CONFIG, accumulation=0)


@pytest.fixture(scope="module")
def thawed():
    """Two steps of the head alone and one of the whole network, all on the rise of a warm-up of two epochs."""
    config = dataclasses.replace(
        CONFIG,
        optimizer=OptimizerConfig("adam", RATE, eps=1e-16, ema_decay=0.9),
        schedule=ScheduleConfig("cosine", warmup_epochs=2.0),
        fine_tuning=FineTuningConfig("unused", freeze_epochs=1, backbone_rate=0.1),
    )
    return config, _run(config, 3)


def test_frozen_backbone_stays_as_it_is_with_its_statistics_and_moments(thawed):
    start, _, second, _ = thawed[1]
    for tree in ("params", "batch_stats"):
        _assert_close(second.variables[tree]["backbone"], start.variables[tree]["backbone"], rtol=0)
        _assert_close(second.average[tree]["backbone"], start.variables[tree]["backbone"], rtol=0)
    _assert_close(second.optimizer["backbone"], start.optimizer["backbone"], rtol=0)
    moved = second.variables["params"]["head"]["mix"]["kernel"] - start.variables["params"]["head"]["mix"]["kernel"]
    assert (np.abs(moved) > 0).mean() > 0.5
    assert (second.variables["batch_stats"]["head"]["norm"]["mean"] != 0).any()


def test_first_step_after_thawing_is_adams_first_at_the_backbones_rate(thawed):
    before, after = (jax.tree.leaves(state.variables["params"]["backbone"]) for state in thawed[1][2:])
    sizes = np.concatenate([np.abs(new - old).ravel() for new, old in zip(after, before, strict=True)])
    # With fresh moments Adam's first step has the size of the rate, whatever the gradient; half the rise is over.
    np.testing.assert_allclose(np.median(sizes), 0.1 * RATE * 0.5, rtol=1e-3)


def test_first_step_of_a_rise_changes_no_weight(thawed):
    start, first = thawed[1][:2]
    _assert_close(first.variables["params"], start.variables["params"], rtol=0)


def test_average_of_weights_equals_its_formula(thawed):
    config, states = thawed
    for collection in ("params", "batch_stats"):
        path = lambda variables: variables[collection]["head"]["norm"]  # noqa: B023, E731
        for leaf in path(states[0].variables):
            average = path(states[0].variables)[leaf].astype(np.float64)
            for number, state in enumerate(states[1:]):
                decay = min(config.optimizer.ema_decay, (1 + number) / (10 + number))
                average = decay * average + (1 - decay) * path(state.variables)[leaf]
            np.testing.assert_allclose(path(states[-1].average)[leaf], average, rtol=1e-5, atol=1e-7)


def test_average_is_what_is_validated_and_kept(thawed):
    config, states = thawed
    state = jax.tree.map(lambda leaf: leaf[0], states[-1])
    spoilt = state._replace(variables=jax.tree.map(lambda leaf: leaf * np.nan, state.variables))
    sums, _ = jax.jit(validation_step(config, Placement(1, 1)))(spoilt, _batch(0))
    assert np.isfinite(sums.loss)
    kept = finish_epoch(jax.tree.map(jnp.asarray, spoilt), jnp.asarray(0.5), jnp.asarray(0.5), config)
    _assert_close(kept.best, state.average, rtol=0)


def test_no_average_and_no_prior_cost_no_memory():
    state = initial_state(CONFIG)
    assert state.average == () and state.prior == () and state.evaluated is state.variables
