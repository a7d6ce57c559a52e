"""The learning-rate schedule by plateau and the early stop after it, stepped once an epoch.

`optax.contrib.reduce_on_plateau` decides; here its arguments are mapped so that it decides as PyTorch's
ReduceLROnPlateau does (mode max for scores, mode min for the loss).
"""

from typing import NamedTuple, cast

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from spotrust_jax.config import PlateauConfig

_SMALLEST_SCORE = 1e-30


class Schedule(NamedTuple):
    """State of one member's schedule.

    Attributes:
        reduction: optax's state; its `scale` multiplies the initial learning rate.
        best: best metric so far, higher is better.
        idle_epochs: epochs at the minimum rate since `best` last rose.
        stopped: whether the member has finished.
    """

    reduction: optax.contrib.ReduceLROnPlateauState
    best: Float[Array, ""]
    idle_epochs: Int[Array, ""]
    stopped: Bool[Array, ""]


def initial_schedule(config: PlateauConfig, learning_rate: float) -> Schedule:
    """The schedule before the first epoch."""
    reduction = cast(optax.contrib.ReduceLROnPlateauState, _reduction(config, learning_rate).init(jnp.zeros(())))
    return Schedule(reduction, jnp.asarray(-jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros((), bool))


def advance(schedule: Schedule, metric: Float[Array, ""], config: PlateauConfig, learning_rate: float) -> Schedule:
    """The schedule after an epoch whose validation `metric` (a score, or the loss if so configured) is known."""
    update = _reduction(config, learning_rate).update
    _, reduction = update(jnp.zeros(()), schedule.reduction, value=_as_loss(metric, config))
    score = -metric if config.metric == "loss" else metric
    # Where the rate was before this epoch counts: the cut to the minimum begins the five epochs, it is not one of them.
    at_minimum = jnp.asarray(schedule.reduction.scale) <= _minimum_scale(config, learning_rate)
    idle = jnp.where(at_minimum & (score <= schedule.best), schedule.idle_epochs + 1, 0)
    stopped = schedule.stopped
    if config.stop_after > 0:
        stopped = stopped | (idle >= config.stop_after)
    reduction = cast(optax.contrib.ReduceLROnPlateauState, reduction)
    return Schedule(reduction, jnp.maximum(schedule.best, score), idle, stopped)


def _reduction(config: PlateauConfig, learning_rate: float) -> optax.GradientTransformationExtraArgs:
    """optax's transformation with PyTorch's meaning: it cuts at `patience`, PyTorch after it."""
    relative = config.threshold_mode == "relative"
    if not relative:
        rtol, atol = 0.0, config.threshold
    elif config.metric == "loss":
        rtol, atol = config.threshold, 0.0
    else:
        rtol, atol = 1.0 - 1.0 / (1.0 + config.threshold), 0.0
    return optax.contrib.reduce_on_plateau(
        factor=config.factor,
        patience=config.patience + 1,
        rtol=rtol,
        atol=atol,
        min_scale=_minimum_scale(config, learning_rate),
    )


def _as_loss(metric: Float[Array, ""], config: PlateauConfig) -> Float[Array, ""]:
    """The metric as a value to minimise: scores by their reciprocal where improvement is relative, else negated."""
    if config.metric == "loss":
        return metric
    # A score of 0 must be finite, because it is an improvement where there was none before.
    return 1.0 / jnp.maximum(metric, _SMALLEST_SCORE) if config.threshold_mode == "relative" else -metric


def _minimum_scale(config: PlateauConfig, learning_rate: float) -> float:
    return min(config.minimum_rate / learning_rate, 1.0)
