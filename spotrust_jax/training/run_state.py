"""A run in progress on disk: the state of all members, written so that it restores onto any number of devices."""

import os
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization

from spotrust_jax.config import TrainConfig
from spotrust_jax.training.state import MemberState, state_shapes


class RunStates:
    """The latest state of a run, under WORKDIR/latest. Leaves are [members, ...], whatever the devices were."""

    def __init__(self, workdir: str | os.PathLike):
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(epath.Path(Path(workdir).resolve() / "latest"), options=options)

    def save(self, epoch: int, state: MemberState) -> None:
        """Begins to write the state after `epoch` whole epochs; an older one goes once this one is complete."""
        # Nested dictionaries, because Orbax keeps no NamedTuples.
        self._manager.save(epoch, args=ocp.args.StandardSave(serialization.to_state_dict(state)))

    def restore(self, config: TrainConfig) -> tuple[int, MemberState] | None:
        """Epochs done and the state after them, or None where the run has not saved yet."""
        epoch = self._manager.latest_step()
        if epoch is None:
            return None
        shapes = state_shapes(config)
        template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), serialization.to_state_dict(shapes))
        plain = self._manager.restore(epoch, args=ocp.args.StandardRestore(template))
        return epoch, serialization.from_state_dict(shapes, plain)

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
