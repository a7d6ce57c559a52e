"""The learning rate from step to step: warm-up, then the plateau's scale or a cosine.

`plateau.py` decides when the plateau's scale falls and a member stops.
"""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from spotrust_jax.config import TrainConfig
from spotrust_jax.training import plateau
from spotrust_jax.training.plateau import Schedule

RateScale = Callable[[Schedule, Int[Array, "*members"]], Float[Array, "*members"]]


def rate_scale(config: TrainConfig, steps: int) -> RateScale:
    """The function of schedule and steps done that gives the next step's rate as a multiple of the initial one.

    Args:
        config: the experiment.
        steps: steps of an epoch.
    """
    warmup = round(config.schedule.warmup_epochs * steps)
    ramp = optax.schedules.linear_schedule(0.0, 1.0, warmup) if warmup else None
    if config.schedule.kind == "cosine":
        end = config.schedule.minimum_rate / config.optimizer.learning_rate
        fall = optax.schedules.cosine_decay_schedule(1.0, config.epochs * steps - warmup, alpha=end)
        whole = optax.schedules.join_schedules([ramp, fall], [warmup]) if ramp else fall
        return lambda schedule, step: jnp.asarray(whole(step))
    if ramp is None:
        return lambda schedule, step: jnp.asarray(schedule.reduction.scale)
    return lambda schedule, step: jnp.asarray(ramp(step) * schedule.reduction.scale)


def advance(schedule: Schedule, metric: Float[Array, ""], config: TrainConfig) -> Schedule:
    """The schedule after an epoch whose validation `metric` is known; a cosine knows neither metric nor early stop."""
    if config.schedule.kind == "cosine":
        return schedule
    return plateau.advance(schedule, metric, config.plateau, config.optimizer.learning_rate)
