"""A run in progress on disk: the state of all members, written so that it restores onto any number of devices."""

import os
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization

from spotrust_jax.config import TrainConfig
from spotrust_jax.training.state import MemberState, initial_state


class RunStates:
    """The latest state of a run, under WORKDIR/latest. Leaves are [members, ...], whatever the devices were."""

    def __init__(self, workdir: str | os.PathLike):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(epath.Path(Path(workdir).resolve() / "latest"), options=options)

    def save(self, epoch: int, state: MemberState) -> None:
        """Begins to write the state after `epoch` whole epochs; an older one goes once this one is complete."""
        self._manager.save(epoch, args=ocp.args.StandardSave(_plain(state)))

    def restore(self, config: TrainConfig) -> tuple[int, MemberState] | None:
        """Epochs done and the state after them, or None where the run has not saved yet."""
        epoch = self._manager.latest_step()
        if epoch is None:
            return None
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = jax.eval_shape(lambda: initial_state(config))
        template = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            jax.eval_shape(_plain, shapes),
        )
        plain = self._manager.restore(epoch, args=ocp.args.StandardRestore(template))
        state = serialization.from_state_dict(shapes, plain)
        return epoch, state._replace(key=jax.random.wrap_key_data(state.key))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _plain(state: MemberState) -> dict[str, Any]:
    """Nested dictionaries of plain arrays: Orbax keeps neither NamedTuples nor typed keys."""
    return serialization.to_state_dict(state._replace(key=jax.random.key_data(state.key)))
