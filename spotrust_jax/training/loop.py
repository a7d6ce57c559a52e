"""The training run: epochs of steps, validation, schedule, best model, and going on where it was interrupted."""

import collections
import contextlib
import functools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from spotrust_jax.config import Metric, TrainConfig
from spotrust_jax.data.pipeline import steps_per_epoch
from spotrust_jax.errors import RunError
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.accumulation import check_pieces, check_shares
from spotrust_jax.training.checkpointing import Position, RunCheckpoints
from spotrust_jax.training.compiled import CompiledFunctions, compile_functions
from spotrust_jax.training.input_pipeline import (
    MemberData,
    TrainingPipeline,
    at_trained_size,
    epoch_images,
    open_data,
    validation_pipeline,
)
from spotrust_jax.training.interruption import InterruptedRunError, Interruption
from spotrust_jax.training.log import Log, read_log
from spotrust_jax.training.memory import check_memory, memory_errors, memory_remedy
from spotrust_jax.training.run_directory import claim
from spotrust_jax.training.schedule import rate_scale
from spotrust_jax.training.seen import seen_by_run
from spotrust_jax.training.state import MemberState, initial_state, state_shapes
from spotrust_jax.training.summary import SUMMARY_NAME, useless, write_summary
from spotrust_jax.training.validation import Picture, validate

# Steps that the host may run ahead of the devices.
_STEPS_AHEAD = 2

# Validation photographs in TensorBoard.
_PANELS = 4


class TrainingDivergedError(RunError):
    """The loss was not finite."""


class Progress(NamedTuple):
    """What a run ends with.

    Attributes:
        epochs: epochs done, also before a resume.
        steps: steps done.
        best_score: each member's best validation score, by `TrainConfig.best_metric`.
        remarks: one line for each member whose best model is of no use.
    """

    epochs: int
    steps: int
    best_score: tuple[float, ...]
    remarks: tuple[str, ...] = ()


def train(config: TrainConfig, run_directory: str | os.PathLike, devices: Sequence[jax.Device]) -> Progress:
    """Trains, or goes on where an earlier run in `run_directory` stopped, and keeps RUN/best up to date.

    Args:
        config: the experiment.
        run_directory: belongs to this run and no other.
        devices: of all processes, each of which calls this.

    Raises:
        InputError: where the configuration, the data or the run directory cannot be used.
        TrainingDivergedError: at a loss that is not finite; the checkpoints are from before it.
        InterruptedRunError: after SIGTERM or a preemption notice; the state is saved.
        RunError: where the disk does not take what is written.
    """
    run_directory, grid = Path(run_directory), DeviceGrid(config.members, tuple(devices))
    check_shares(config.batch_size, grid.placement)
    check_pieces(config, grid.placement)
    data = open_data(config)
    config = claim(run_directory, config, data[0].training)
    with contextlib.ExitStack() as stack, memory_errors(memory_remedy(config)):
        run = _Run(run_directory, config, grid, data, stack)
        while not run.is_over:
            run.train_epoch()
            run.judge_epoch()
        run.close()
    if jax.process_index() == 0:
        for remark in run.progress.remarks:
            print(f"warning: {run_directory / 'best'}: {remark}", file=sys.stderr)
    return run.progress


class _Watched(NamedTuple):
    """The part of the state that the host looks at, one value for each member."""

    stopped: Bool[np.ndarray, "members"]
    best_score: Float[np.ndarray, "members"]
    best_step: Int[np.ndarray, "members"]
    bad_step: Float[np.ndarray, "members"]
    loss_sum: Float[np.ndarray, "members"]
    rate: Float[np.ndarray, "members"]


class _Run:
    """A run in progress: where it is, and what it reads from and writes to. `stack` closes these."""

    def __init__(
        self,
        run_directory: Path,
        config: TrainConfig,
        grid: DeviceGrid,
        data: Sequence[MemberData],
        stack: contextlib.ExitStack,
    ):
        self._run_directory, self._config, self._grid, self._data = (
            run_directory,
            config,
            grid,
            at_trained_size(data, config),
        )
        self._steps = steps_per_epoch(epoch_images(data), config.batch_size)
        self._interruption = stack.enter_context(Interruption())
        self._checkpoints = RunCheckpoints(
            run_directory, config, grid, seen_by_run(run_directory / "best", config, data)
        )
        stack.callback(self._checkpoints.close)
        self._position, self._state = self._checkpoints.restore() or self._begin()
        self._begun = self._position
        if self._position.best_epoch:
            self._checkpoints.save_best(self._position.best_epoch, self._state)
        self._watched = self._watch()
        self._pipeline = TrainingPipeline(self._data, config, grid, self._position.steps, self._watched.stopped)
        stack.callback(self._pipeline.close)
        self._log = stack.enter_context(Log(run_directory, self._position.epochs, self._position.steps))
        self._bar = stack.enter_context(_bar(config, self._steps, self._position.steps))

    @functools.cached_property
    def _functions(self) -> CompiledFunctions:
        """Not compiled for a run that is over."""
        return compile_functions(self._config, self._grid, self._data)

    def _begin(self) -> tuple[Position, MemberState]:
        """The first state, made once a step is known to fit into the memory."""
        check_memory(self._functions.step_bytes, self._config, self._grid.devices)
        return Position(), self._grid.spread(initial_state(self._config))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self._position.epochs >= self._config.epochs or bool(self._watched.stopped.all())

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        scores = _as_score({self._config.best_metric: self._watched.best_score}, self._config.best_metric)
        return Progress(self._position.epochs, self._position.steps, tuple(scores.tolist()), useless(self._best_rows()))

    def train_epoch(self) -> None:
        """What is left of the steps of an epoch."""
        first, started, losses = self._position.steps, time.monotonic(), collections.deque()
        while self._position.steps < (self._position.epochs + 1) * self._steps:
            self._state, loss = self._functions.step(self._state, next(self._pipeline))
            self._position = self._position._replace(steps=self._position.steps + 1)
            losses.append(loss)
            if len(losses) > _STEPS_AHEAD:
                losses.popleft().block_until_ready()
            self._bar.update(self._config.batch_size * self._config.members)
            self._leave_if_asked()
            if _is_due(self._config.run.checkpoint_steps, self._position.steps):
                self._watched = self._watch()
                self._save()
        self._watched = self._watch()
        self._timing = _Timing(started, self._position.steps - first, time.monotonic() - started)

    def judge_epoch(self) -> None:
        """Validates, advances the schedules, and writes down what came out."""
        scores, panels = self._validate() if self._is_validated() else ({}, [])
        before = self._watched
        # No score is better than any other.
        unknown = np.full(self._config.members, np.nan, np.float32)
        judged = (
            _as_score(scores, self._config.best_metric) if scores else unknown,
            scores.get(self._config.plateau.metric, unknown),
        )
        self._state = self._functions.finish(self._state, self._grid.spread(judged))
        self._watched = self._watch()
        self._pipeline.stopped = self._watched.stopped
        epoch = self._position.epochs + 1
        self._position = self._position._replace(epochs=epoch)
        # Before the state: what the state knows of, the log has.
        self._note(before, scores, panels)
        if (self._watched.best_step > before.best_step).any():
            self._position = self._position._replace(best_epoch=epoch)
            self._checkpoints.save_best(epoch, self._state)
        if _is_due(self._config.run.keep_epochs, epoch):
            self._checkpoints.keep(epoch, self._state)
        if self.is_over or _is_due(self._config.run.save_epochs, epoch):
            self._save()

    def close(self) -> None:
        """Waits for the disk, and sums up the run."""
        self._checkpoints.wait()
        if self._position != self._begun or not (self._run_directory / SUMMARY_NAME).exists():
            leaves = jax.tree.leaves(state_shapes(self._config).variables["params"])
            parameters = sum(leaf.size for leaf in leaves) // self._config.members
            write_summary(self._run_directory, self._position.steps, self._best_rows(), parameters)

    def _is_validated(self) -> bool:
        """Whether the epoch that has just been trained is."""
        every, epoch = self._config.validation_epochs, self._position.epochs + 1
        return epoch == self._config.epochs or _is_due(every, epoch)

    def _validate(self) -> tuple[dict[str, Float[np.ndarray, "members"]], list[Picture]]:
        return validate(
            self._functions.validate,
            self._state,
            validation_pipeline(self._data, self._config, self._grid),
            self._grid,
            between=self._leave_if_asked,
            num_panels=_PANELS if _is_due(self._config.run.panel_epochs, self._position.epochs + 1) else 0,
        )

    def _note(self, trained: _Watched, scores: dict[str, Float[np.ndarray, "members"]], panels: list[Picture]) -> None:
        """An epoch in the log and on the progress bar; `trained` is what was watched before it was judged."""
        running = np.flatnonzero(~trained.stopped).tolist()
        images = len(running) * self._config.batch_size * self._timing.steps
        rows = {
            "loss": trained.loss_sum / self._steps,
            **{f"validation_{name}": values for name, values in scores.items()},
            "learning_rate": self._watched.rate,
            "images_per_second": np.full(self._config.members, images / self._timing.seconds),
            "seconds": np.full(self._config.members, time.monotonic() - self._timing.started),
        }
        self._log.epoch(self._position.epochs, self._position.steps, rows, running)
        self._log.panels(self._position.steps, panels)
        shown = {"loss": rows["loss"]} | {name: scores[name] for name in scores if name == "average_precision"}
        self._bar.set_postfix({name: f"{values[running].mean():.3f}" for name, values in shown.items()})

    def _best_rows(self) -> list[dict[str, Any]]:
        """Each member's line in the log of the epoch after which its best model was kept."""
        rows = {(row["member"], row["step"]): row for row in read_log(self._run_directory)}
        return [rows[key] for key in enumerate(self._watched.best_step.tolist()) if key in rows]

    def _save(self) -> None:
        self._checkpoints.save(self._position, self._state)

    def _leave_if_asked(self) -> None:
        if self._interruption.requested():
            self._watched = self._watch()
            self._save()
            self._checkpoints.wait()
            raise InterruptedRunError(
                f"stopped as asked after step {self._position.steps}: {self._run_directory} has the state, the same "
                f"command goes on"
            )

    def _watch(self) -> _Watched:
        """Waits for the devices; a state that has gone wrong is never saved."""
        state = self._state
        schedule, step, *rest = self._grid.gather(
            (state.schedule, state.step, state.best_score, state.best_step, state.bad_step, state.loss_sum)
        )
        scale = rate_scale(self._config, self._steps)(schedule, step)
        watched = _Watched(schedule.stopped, *rest, self._config.optimizer.learning_rate * np.asarray(scale))
        if (watched.bad_step >= 0).any():
            member = int(np.argmax(watched.bad_step >= 0))
            raise TrainingDivergedError(
                f"the loss of member {member} was not finite at step {watched.bad_step[member] + 1}: "
                f"{self._run_directory} keeps the checkpoints from before; try a smaller "
                f"config.optimizer.learning_rate in another --workdir"
            )
        return watched


def _as_score(scores: dict[str, Float[np.ndarray, "members"]], metric: Metric) -> Float[np.ndarray, "members"]:
    """The higher the better; the reverse of itself."""
    return -scores[metric] if metric == "loss" else scores[metric]


class _Timing(NamedTuple):
    """When an epoch's steps began, how many there were (fewer after an interruption), and how long they took."""

    started: float
    steps: int
    seconds: float


def _is_due(every: int, count: int) -> bool:
    return every > 0 and count % every == 0


def _bar(config: TrainConfig, steps: int, done: int) -> tqdm:
    """Images of all members, so that it shows how many a second, and the time left."""
    images = config.batch_size * config.members
    return tqdm(
        total=config.epochs * steps * images,
        initial=done * images,
        unit="image",
        mininterval=2.0,
        dynamic_ncols=True,
        disable=jax.process_index() > 0,
    )
