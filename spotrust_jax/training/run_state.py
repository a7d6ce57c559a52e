"""A run in progress on disk: the state of all members and the best model, each complete or absent at any moment.

Leaves are [members, ...], whatever the devices were, so that they restore onto any number and kind of them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization

from spotrust_jax.checkpoints import CheckpointConfig, model_manager, save_model, write_config
from spotrust_jax.config import TrainConfig
from spotrust_jax.ensemble import DeviceGrid
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.training.seen import Seen
from spotrust_jax.training.state import MemberState, state_shapes


class Position(NamedTuple):
    """How far a run has come.

    Attributes:
        epochs: epochs done, with their validation.
        steps: steps done; those of an epoch in progress count.
        best_epoch: the last epoch after which any member was better than ever before; 0 for none.
    """

    epochs: int = 0
    steps: int = 0
    best_epoch: int = 0

    @property
    def label(self) -> int:
        """A number that every step and every validation raises."""
        return self.steps + self.epochs


class LatestState:
    """The latest state of a run under WORKDIR/latest, and where the run was, as a dictionary for JSON.

    Writing goes on in the background: an older state goes only once a newer one is whole.
    """

    def __init__(self, workdir: Path, grid: DeviceGrid):
        self._workdir, self._grid = workdir.resolve(), grid
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(epath.Path(self._workdir / "latest"), options=options)

    @property
    def label(self) -> int | None:
        """Number of the state that is there, None where there is none."""
        return self._manager.latest_step()

    def save(self, label: int, position: dict[str, Any], state: Any) -> None:
        """Begins to write a state on the grid; `label` rises from one to the next."""
        # Nested dictionaries, because Orbax keeps no NamedTuples.
        tree = serialization.to_state_dict(self._grid.stacked(state))
        args = ocp.args.Composite(state=ocp.args.StandardSave(tree), position=ocp.args.JsonSave(position))
        self._manager.save(label, args=args, force=True)

    def restore(self, shapes: Any) -> tuple[dict[str, Any], Any] | None:
        """Where the run was, and the state there on the grid, or None where it has not saved yet.

        `shapes` are the state's, [members, ...].

        Raises:
            InputError: where what is there is no such state.
        """
        if self.label is None:
            return None
        sharding = self._grid.stacked_sharding
        template = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            serialization.to_state_dict(shapes),
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(template), position=ocp.args.JsonRestore())
        try:
            restored = self._manager.restore(self.label, args=args)
        except (ValueError, KeyError, FileNotFoundError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self._workdir / 'latest'} is not the state of this run ({reason}): give another --workdir"
            ) from error
        state = serialization.from_state_dict(shapes, restored["state"])
        return restored["position"], self._grid.unstacked(state)

    def wait(self) -> None:
        """Returns when everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Ends the threads that write."""
        self._manager.close()


@contextlib.contextmanager
def disk_errors(workdir: Path, latest: LatestState) -> Iterator[None]:
    """Turns a write that failed into a `RunError` that says from where the run then goes on."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{workdir} could not be written ({reason}): free some space there; the same command then goes on from "
            f"step {latest.label or 0}"
        ) from error


class RunStates:
    """The latest state under WORKDIR/latest, and models under WORKDIR/best and WORKDIR/epoch_NUMBER.

    Writing goes on in the background: an older state goes only once a newer one is whole.
    """

    def __init__(self, workdir: Path, config: TrainConfig, grid: DeviceGrid, seen: Seen = Seen()):
        self._workdir, self._config, self._grid = workdir.resolve(), config, grid
        self._model = _checkpoint_config(config, seen)
        self._latest = LatestState(workdir, grid)
        write_config(self._workdir / "best", self._model)
        self._best = model_manager(self._workdir / "best", in_background=True)

    def save(self, position: Position, state: MemberState) -> None:
        """Begins to write where the run is.

        Raises:
            RunError: where the disk does not take this state, or did not take the one before.
        """
        self._guarded(lambda: self._latest.save(position.label, position._asdict(), state))

    def save_best(self, epoch: int, state: MemberState) -> None:
        """Begins to write the best model, found at `epoch`, unless that has been done."""
        if epoch not in self._best.all_steps():
            args = ocp.args.StandardSave(self._grid.stacked(state.best))
            self._guarded(lambda: self._best.save(epoch, args=args, force=True))

    def keep(self, epoch: int, state: MemberState) -> None:
        """Writes the model as it is now, for good."""
        variables = self._grid.stacked(state.evaluated)
        self._guarded(lambda: save_model(self._workdir / f"epoch_{epoch:04d}", variables, self._model, step=epoch))

    def restore(self) -> tuple[Position, MemberState] | None:
        """Where the run was, and the state there, or None where it has not saved yet.

        Raises:
            InputError: where what is there is not the state of this configuration.
        """
        restored = self._latest.restore(state_shapes(self._config))
        return restored and (Position(**restored[0]), restored[1])

    def wait(self) -> None:
        """Returns when everything is on disk.

        Raises:
            RunError: where the disk did not take it.
        """
        self._guarded(self._latest.wait)
        self._guarded(self._best.wait_until_finished)

    def close(self) -> None:
        """Ends the threads that write."""
        self._latest.close()
        self._best.close()

    def _guarded(self, write: Any) -> None:
        with disk_errors(self._workdir, self._latest):
            write()


def _checkpoint_config(config: TrainConfig, seen: Seen) -> CheckpointConfig:
    return CheckpointConfig(
        model=config.model,
        members=config.members,
        mean=config.data.mean,
        deviation=config.data.deviation,
        inference_size=config.data.image_size,
        positive_weight=config.loss.positive_weight,
        log_variance_bound=config.loss.log_variance_bound,
        log_variance_bounding=config.loss.log_variance_bounding,
        trained_on=seen.trained_on,
        selected_on=seen.selected_on,
    )
