"""Optimisers against PyTorch's, part by part, and the learning rate from step to step against its formula."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import FineTuningConfig, OptimizerConfig, PlateauConfig, ScheduleConfig, TrainConfig
from spotrust_jax.errors import InputError
from spotrust_jax.parallel import Placement
from spotrust_jax.training.checks import check_training
from spotrust_jax.training.optimizer import make_optimizer
from spotrust_jax.training.plateau import initial_schedule
from spotrust_jax.training.schedule import advance, rate_scale

# Every kind of leaf, whether AdamW lets it decay, and its share of the learning rate.
LEAVES = {
    ("backbone", "unit", "conv", "kernel"): (True, 0.25),
    ("backbone", "unit", "norm", "scale"): (False, 0.25),
    ("head", "logit", "kernel"): (True, 1.0),
    ("head", "logit", "bias"): (False, 1.0),
    ("bayesian_0", "kernel_mean"): (False, 1.0),
    ("bayesian_0", "kernel_rho"): (False, 1.0),
}


def _tree(arrays):
    tree = {}
    for path, array in zip(LEAVES, arrays, strict=True):
        *folders, leaf = path
        place = tree
        for name in folders:
            place = place.setdefault(name, {})
        place[leaf] = jnp.asarray(array, jnp.float32)
    return tree


def _leaf(tree, path):
    for name in path:
        tree = tree[name]
    return tree


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerConfig("adam", 0.01),
        OptimizerConfig("adamw", 0.01, weight_decay=0.3),
        OptimizerConfig("sgd", 0.01),
        OptimizerConfig("sgd", 0.01, momentum=0.9),
    ],
)
def test_equals_torch_at_the_rates_and_decays_of_each_part(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(len(LEAVES), 3)), rng.normal(size=(6, len(LEAVES), 3))
    tensors = [torch.tensor(values, requires_grad=True) for values in start]
    settings = {
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
        "sgd": (torch.optim.SGD, {"momentum": optimizer.momentum}),
    }
    kind, more = settings[optimizer.kind]
    theirs = kind(
        [
            {
                "params": [tensor],
                "lr": 0.01 * rate,
                "weight_decay": optimizer.weight_decay if optimizer.kind == "adamw" and decays else 0.0,
            }
            for tensor, (decays, rate) in zip(tensors, LEAVES.values(), strict=True)
        ],
        **more,
    )
    ours = make_optimizer(TrainConfig(optimizer=optimizer, fine_tuning=FineTuningConfig(backbone_rate=0.25)))
    params = _tree(start)
    state = ours.init(params)
    for row in gradients:
        for tensor, gradient in zip(tensors, row, strict=True):
            tensor.grad = torch.tensor(gradient)
        theirs.step()
        updates, state = ours.update(_tree(row), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    for path, tensor in zip(LEAVES, tensors, strict=True):
        np.testing.assert_allclose(_leaf(params, path), tensor.detach(), rtol=1e-5, atol=1e-6, err_msg=str(path))


def test_parts_without_gradients_keep_their_state():
    optimizer = make_optimizer(TrainConfig())
    params = _tree(np.ones((len(LEAVES), 3)))
    state = optimizer.init(params)
    updates, after = optimizer.update({"head": params["head"]}, state, params)
    assert set(updates) == {"head"} and after["backbone"] is state["backbone"]
    assert after["head"][0].count == 1


def _rates(config: TrainConfig, steps: int, of_epoch: int) -> np.ndarray:
    schedule = initial_schedule(config.plateau, config.optimizer.learning_rate)
    schedule = schedule._replace(reduction=schedule.reduction._replace(scale=jnp.asarray(0.5)))
    scale = rate_scale(config, of_epoch)
    return config.optimizer.learning_rate * np.array([scale(schedule, jnp.asarray(step)) for step in range(steps)])


def test_cosine_equals_its_formula_and_ends_at_the_minimum():
    config = TrainConfig(
        optimizer=OptimizerConfig(learning_rate=0.02),
        schedule=ScheduleConfig("cosine", warmup_epochs=1.5, minimum_rate=0.002),
        epochs=4,
    )
    steps = np.arange(17)
    falling = 0.002 + 0.018 * 0.5 * (1 + np.cos(np.pi * (steps - 6) / 10))
    np.testing.assert_allclose(_rates(config, 17, 4), np.where(steps < 6, 0.02 * steps / 6, falling), rtol=1e-5)


def test_plateau_rises_to_its_own_scale():
    config = TrainConfig(optimizer=OptimizerConfig(learning_rate=0.02), schedule=ScheduleConfig(warmup_epochs=1.0))
    np.testing.assert_allclose(_rates(config, 6, 4), 0.01 * np.array([0, 0.25, 0.5, 0.75, 1, 1]), rtol=1e-6)
    config = dataclasses.replace(config, schedule=ScheduleConfig())
    np.testing.assert_allclose(_rates(config, 3, 4), 0.01, rtol=1e-6)


def test_cosine_neither_cuts_nor_stops():
    config = TrainConfig(
        schedule=ScheduleConfig("cosine"), plateau=PlateauConfig(patience=0, stop_after=1, minimum_rate=1.0)
    )
    start = initial_schedule(config.plateau, config.optimizer.learning_rate)
    assert advance(start, jnp.asarray(0.5), config) is start
    plateau = dataclasses.replace(config, schedule=ScheduleConfig())
    after = advance(advance(start, jnp.asarray(0.5), plateau), jnp.asarray(0.5), plateau)
    assert after.stopped


def _check(**settings):
    check_training(TrainConfig(**settings), Placement(1, 1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OptimizerConfig(momentum=1.0), "momentum is 1.0"),
        (lambda: OptimizerConfig(ema_decay=-0.1), "ema_decay"),
        (lambda: OptimizerConfig(learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: ScheduleConfig(warmup_epochs=-1.0), "warmup_epochs"),
        (lambda: _check(schedule=ScheduleConfig("cosine", warmup_epochs=3.0), epochs=3), "3 of 3 epochs"),
        (lambda: FineTuningConfig(backbone_rate=0.0), "backbone_rate"),
        (
            lambda: _check(fine_tuning=FineTuningConfig(freeze_epochs=2)),
            "freeze_epochs is set and fine_tuning.checkpoint is empty",
        ),
        (lambda: _check(fine_tuning=FineTuningConfig(prior="checkpoint")), "prior is set"),
    ],
)
def test_settings_that_cannot_be_are_one_line(make, words):
    with pytest.raises(InputError, match=words):
        make()
