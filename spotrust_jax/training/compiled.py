"""What the devices run in training, compiled: a step, a validation batch, and the end of an epoch."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spotrust_jax.config import TrainConfig
from spotrust_jax.models import compile_notice
from spotrust_jax.parallel import DeviceGrid, over_members
from spotrust_jax.training.input_pipeline import ScaledData, epoch_images
from spotrust_jax.training.memory import step_bytes
from spotrust_jax.training.schedule import advance
from spotrust_jax.training.state import MemberState, state_shapes
from spotrust_jax.training.step import DeviceBatch, device_batch_shapes, train_step, validation_step


class CompiledFunctions(NamedTuple):
    """Functions of a state on the grid and of something more on the grid; `step` and `finish` use up the state.

    Attributes:
        step: state and batch to state and loss.
        validate: state and batch to sums and maps.
        finish: state and (validation score, metric of the schedule) to state.
        step_bytes: memory that a step takes on each device, state included; None where it is not known.
    """

    step: Callable
    validate: Callable
    finish: Callable
    step_bytes: int | None


def compile_functions(config: TrainConfig, grid: DeviceGrid, data: Sequence[ScaledData]) -> CompiledFunctions:
    """The step, compiled for the devices of `grid`; the others are when they are first called.

    With several processes the step is, too: pmap compiles ahead only where it has all devices for itself.
    """
    compile_notice.announce(config.model, *config.augmentation.crop_size, "train")
    step = over_members(train_step(config, grid.placement, epoch_images(data)), grid, donate=True)
    validate = _announced(over_members(validation_step(config, grid.placement), grid), config)
    finish = over_members(lambda state, judged: finish_epoch(state, judged[0], judged[1], config), grid, donate=True)
    if len(grid.local) < len(grid.devices):
        return CompiledFunctions(step, validate, finish, step_bytes=None)
    compiled = step.lower(*_on_grid(config, grid)).compile()
    return CompiledFunctions(compiled, validate, finish, step_bytes(compiled))


def finish_epoch(
    state: MemberState, score: Float[Array, ""], metric: Float[Array, ""], config: TrainConfig
) -> MemberState:
    """One member after validation: schedule advanced, best weights kept, the later ones of equals.

    `score` is the higher the better. A member that has stopped stays as it is.
    """
    running = ~state.schedule.stopped
    improved = running & (score >= state.best_score)
    schedule = advance(state.schedule, metric, config)
    return state._replace(
        schedule=_choose(running, schedule, state.schedule),
        best=_choose(improved, state.evaluated, state.best),
        best_score=jnp.where(improved, score, state.best_score),
        best_step=jnp.where(improved, state.step, state.best_step),
        loss_sum=jnp.zeros(()),
    )


def _announced(validate: Callable, config: TrainConfig) -> Callable:
    """The function, which says so before it is called for images of a size for the first time."""
    known = set()

    def call(state: MemberState, batch: DeviceBatch) -> Any:
        height, width = batch.images.shape[-3:-1]
        if (height, width) not in known:
            compile_notice.announce(config.model, height, width, "validate")
        known.add((height, width))
        return validate(state, batch)

    return call


def _choose(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _on_grid(config: TrainConfig, grid: DeviceGrid) -> tuple[Any, Any]:
    """Shapes of the state and of a batch, as the devices of this process have them."""
    members = (len(grid.local), grid.placement.members_per_device)
    batch = device_batch_shapes(config, config.batch_size // grid.placement.replicas)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state_shapes(config))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*members, *leaf.shape), leaf.dtype), (state, batch))
