"""A run in progress on disk: the state of all members and the best model, each complete or absent at any moment.

Leaves are [members, ...], whatever the devices were, so that they restore onto any number and kind of them.
"""

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from etils import epath
from flax import serialization
from jax.experimental import multihost_utils

from spotrust_jax.checkpoints import (
    CONFIG_NAME,
    CheckpointConfig,
    model_manager,
    read_config,
    require_regular_files,
    save_model,
    write_config,
)
from spotrust_jax.config import TrainConfig, known
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.io.orbax_reads import quiet_reads, reason
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.seen import Seen
from spotrust_jax.training.state import MemberState, state_shapes


class RunPosition(NamedTuple):
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
    """The latest state of a run under RUN/latest, and where the run was, as a dictionary for JSON.

    Writing goes on in the background: an older state goes only once a newer one is whole.
    """

    def __init__(self, run_directory: Path, grid: DeviceGrid):
        self._run_directory, self._grid = run_directory.resolve(), grid
        require_regular_files(self._run_directory / "latest")
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(epath.Path(self._run_directory / "latest"), options=options)
        self._written = self._manager.latest_step()

    @property
    def label(self) -> int | None:
        """Number of the state that is there, None where there is none."""
        return self._manager.latest_step()

    def save(self, label: int, position: dict[str, Any], state: Any) -> None:
        """Begins to write a state on the grid, unless that has been done; `label` rises from one to the next."""
        if label == self._written:
            return
        # Nested dictionaries, because Orbax keeps no NamedTuples.
        tree = serialization.to_state_dict(self._grid.stacked(state))
        args = ocp.args.Composite(state=ocp.args.StandardSave(tree), position=ocp.args.JsonSave(position))
        self._manager.save(label, args=args, force=True)
        self._written = label

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
            with quiet_reads():
                restored = self._manager.restore(self.label, args=args)
        except Exception as error:  # of damaged files Orbax and TensorStore raise nearly anything
            raise InputError(
                f"{self._run_directory / 'latest'} is not the state of this run ({reason(error)}): give another "
                f"--workdir"
            ) from error
        state = serialization.from_state_dict(shapes, restored["state"])
        return restored["position"], self._grid.unstacked(state)

    def wait(self) -> None:
        """Returns when everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Ends the threads that write."""
        self._manager.close()


_REMEDIES = {
    "free some space there": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "check its permissions": (errno.EACCES, errno.EPERM, errno.EROFS),
    "check the disk": (errno.EIO, errno.ENODEV, errno.ESTALE),
}


@contextlib.contextmanager
def disk_errors(run_directory: Path, latest: LatestState) -> Iterator[None]:
    """Turns a write that failed into a `RunError` that says why, and from where the run then goes on."""
    try:
        yield
    except (InputError, RunError):
        raise
    except (OSError, ValueError, RuntimeError) as error:
        words, remedy = " ".join(str(error).split())[:300], _remedy(error)
        raise RunError(
            f"{run_directory} could not be written ({words}): {remedy}the same command then goes on from step "
            f"{latest.label or 0}"
        ) from error


def _remedy(error: BaseException) -> str:
    """What helps against what the operating system says, nothing where it says nothing of the kind.

    Orbax passes on the words of the system alone.
    """
    number = error.errno if isinstance(error, OSError) else None
    for remedy, numbers in _REMEDIES.items():
        if number in numbers or any(os.strerror(known) in str(error) for known in numbers):
            return f"{remedy}; "
    return ""


class RunCheckpoints:
    """The latest state under RUN/latest, and models under RUN/best and RUN/epoch_NUMBER.

    Writing goes on in the background: an older state goes only once a newer one is whole.
    """

    def __init__(self, run_directory: Path, config: TrainConfig, grid: DeviceGrid, seen: Seen = Seen()):
        self._run_directory, self._config, self._grid = run_directory.resolve(), config, grid
        self._model = _checkpoint_config(config, seen)
        self._latest = LatestState(run_directory, grid)
        write_config(self._run_directory / "best", _with_calibration_kept(self._run_directory / "best", self._model))
        self._best = model_manager(self._run_directory / "best", in_background=True)

    def save(self, position: RunPosition, state: MemberState) -> None:
        """Begins to write where the run is.

        Raises:
            RunError: where the disk does not take this state, or did not take the one before.
        """
        self._guarded(lambda: self._latest.save(position.label, position._asdict(), state))

    def save_best(self, epoch: int, state: MemberState) -> None:
        """Begins to write the best model, found at `epoch`, unless that has been done.

        Calibration and threshold of the one before go first: they do not belong to the new one.
        """
        if epoch not in self._best.all_steps():
            write_config(self._run_directory / "best", self._model)
            args = ocp.args.StandardSave(self._grid.stacked(state.best))
            self._guarded(lambda: self._best.save(epoch, args=args, force=True))

    def keep(self, epoch: int, state: MemberState) -> None:
        """Writes the model as it is now, for good, unless that has been done by a start that was killed before it
        saved its state."""
        folder = self._run_directory / f"epoch_{epoch:04d}"
        if not (folder / str(epoch)).exists():
            variables = self._grid.stacked(state.evaluated)
            self._guarded(lambda: _write_whole(folder, variables, self._model, epoch))

    def restore(self) -> tuple[RunPosition, MemberState] | None:
        """Where the run was, and the state there, or None where it has not saved yet.

        Raises:
            InputError: where what is there is not the state of this configuration.
        """
        restored = self._latest.restore(state_shapes(self._config))
        return restored and (RunPosition(**restored[0]), restored[1])

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
        with disk_errors(self._run_directory, self._latest):
            write()


def _write_whole(folder: Path, variables: Variables, config: CheckpointConfig, epoch: int) -> None:
    """A model that appears as a whole; what is left of one that did not goes away. All processes call it together."""
    partial, first = folder.with_name(f".{folder.name}.partial"), jax.process_index() == 0
    if first:
        shutil.rmtree(partial, ignore_errors=True)
    _meet(f"{folder.name} begins")
    save_model(partial, variables, config, step=epoch)
    _meet(f"{folder.name} is written")
    if first:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    _meet(f"{folder.name} is there")


def _meet(what: str) -> None:
    """Returns when all processes have come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"spotrust_jax: {what}")


def _with_calibration_kept(best: Path, model: CheckpointConfig) -> CheckpointConfig:
    """The configuration of a run's model with what its user has added to the weights that are there."""
    if not (best / CONFIG_NAME).exists():
        return model
    return dataclasses.replace(read_config(best), trained_on=model.trained_on, selected_on=model.selected_on)


def _checkpoint_config(config: TrainConfig, seen: Seen) -> CheckpointConfig:
    return CheckpointConfig(
        model=config.model,
        members=config.members,
        mean=known(config.data.mean),
        std=known(config.data.std),
        inference_size=config.data.image_size,
        positive_weight=config.loss.positive_weight,
        loss=config.loss.kind,
        log_variance_bound=config.loss.log_variance_bound,
        log_variance_bounding=config.loss.log_variance_bounding,
        trained_on=seen.trained_on,
        selected_on=seen.selected_on,
    )
