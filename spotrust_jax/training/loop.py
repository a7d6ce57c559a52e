"""The training run: epochs of steps, validation, schedule, best model, and going on where it was interrupted."""

import collections
import contextlib
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

from spotrust_jax.config import TrainConfig, ValidationMetric
from spotrust_jax.data.pipeline import steps_per_epoch
from spotrust_jax.errors import RunError
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.checkpointing import RunCheckpoints, RunPosition
from spotrust_jax.training.checks import check_labels, check_memory, check_training
from spotrust_jax.training.compiled import CompiledFunctions, compile_functions
from spotrust_jax.training.input_pipeline import (
    MemberData,
    ScaledData,
    TrainingPipeline,
    at_trained_size,
    epoch_images,
    open_data,
    validation_pipeline,
)
from spotrust_jax.training.interruption import InterruptedRunError, Interruption
from spotrust_jax.training.log import Log, read_log
from spotrust_jax.training.memory import memory_errors, memory_remedy
from spotrust_jax.training.run_directory import claim
from spotrust_jax.training.schedule import rate_scale
from spotrust_jax.training.seen import seen_by_run
from spotrust_jax.training.state import MemberState, initial_state, state_shapes
from spotrust_jax.training.summary import SUMMARY_NAME, useless, write_summary
from spotrust_jax.training.validation import Picture, validate
from spotrust_jax.typing import Device

# Steps that the host may run ahead of the devices.
_STEPS_AHEAD = 2

# Validation photographs in TensorBoard.
_PANELS = 4

Scores = dict[str, Float[np.ndarray, "members"]]


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


def train(config: TrainConfig, run_directory: str | os.PathLike, devices: Sequence[Device]) -> Progress:
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
    directory, grid = Path(run_directory), DeviceGrid(config.members, tuple(devices))
    check_training(config, grid.placement)
    data = open_data(config)
    check_labels(data)
    config = claim(directory, config, data[0].training)
    with (
        memory_errors(memory_remedy(config)),
        Interruption() as interruption,
        contextlib.closing(_checkpoints(directory, config, grid, data)) as checkpoints,
    ):
        run = _Run(directory, config, grid, at_trained_size(data, config), interruption, checkpoints)
        moment = _restore(run)
        over = moment is not None and _is_over(run, moment)
        if moment is None or not over:
            moment = _train_epochs(run, moment)
        checkpoints.wait()
        if not over or not (directory / SUMMARY_NAME).exists():
            write_summary(directory, moment.position.steps, _best_rows(run, moment), _parameters(config))
    progress = _progress(run, moment)
    for remark in progress.remarks if jax.process_index() == 0 else ():
        print(f"warning: {directory / 'best'}: {remark}", file=sys.stderr)
    return progress


class _Watched(NamedTuple):
    """The part of the state that the host looks at, one value for each member."""

    stopped: Bool[np.ndarray, "members"]
    best_score: Float[np.ndarray, "members"]
    best_step: Int[np.ndarray, "members"]
    bad_step: Float[np.ndarray, "members"]
    loss_sum: Float[np.ndarray, "members"]
    rate: Float[np.ndarray, "members"]


class _Run(NamedTuple):
    """What is the same from a run's first step to its last."""

    directory: Path
    config: TrainConfig
    grid: DeviceGrid
    data: Sequence[ScaledData]
    interruption: Interruption
    checkpoints: RunCheckpoints

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return steps_per_epoch(epoch_images(self.data), self.config.batch_size)


class _Moment(NamedTuple):
    """A run between two steps: where it is, the state on the devices, and what the host knows of it."""

    position: RunPosition
    state: MemberState
    watched: _Watched


class _Timing(NamedTuple):
    """When an epoch's steps began, how many there were (fewer after an interruption), and how long they took."""

    started: float
    steps: int
    seconds: float


def _checkpoints(directory: Path, config: TrainConfig, grid: DeviceGrid, data: Sequence[MemberData]) -> RunCheckpoints:
    """Where state and models go, with what the models have seen."""
    return RunCheckpoints(directory, config, grid, seen_by_run(directory / "best", config, data))


def _restore(run: _Run) -> _Moment | None:
    """Where an earlier start stopped, None where there was none. Its best model is written if it was not yet."""
    restored = run.checkpoints.restore()
    if restored is None:
        return None
    position, state = restored
    if position.best_epoch:
        run.checkpoints.save_best(position.best_epoch, state)
    return _Moment(position, state, _watch(run, state))


def _begin(run: _Run, functions: CompiledFunctions) -> _Moment:
    """The first state, made once a step is known to fit into the memory."""
    check_memory(functions.step_bytes, run.config, run.grid.devices)
    state = run.grid.spread(initial_state(run.config))
    return _Moment(RunPosition(), state, _watch(run, state))


def _is_over(run: _Run, moment: _Moment) -> bool:
    """Whether there is nothing left to do."""
    return moment.position.epochs >= run.config.epochs or bool(moment.watched.stopped.all())


def _train_epochs(run: _Run, restored: _Moment | None) -> _Moment:
    """All that is left of a run that is not over."""
    functions = compile_functions(run.config, run.grid, run.data)
    moment = restored or _begin(run, functions)
    (epochs, steps, _), stopped = moment.position, moment.watched.stopped
    with (
        contextlib.closing(TrainingPipeline(run.data, run.config, run.grid, steps, stopped)) as pipeline,
        Log(run.directory, epochs, steps) as log,
        _bar(run, steps) as bar,
    ):
        while not _is_over(run, moment):
            trained, timing = _train_epoch(run, moment, functions, pipeline, bar)
            scores, panels = _validate(run, trained, functions)
            moment = _finish_epoch(run, trained, functions, scores)
            pipeline.stopped = moment.watched.stopped
            # Before the state: what the state knows of, the log has.
            _write_log(log, bar, _rows(run, trained, moment, timing, scores), trained, moment, panels)
            _save_epoch(run, moment)
    return moment


def _train_epoch(
    run: _Run, moment: _Moment, functions: CompiledFunctions, pipeline: TrainingPipeline, bar: tqdm
) -> tuple[_Moment, _Timing]:
    """What is left of the steps of an epoch."""
    position, state, _ = moment
    losses, started, end = collections.deque(), time.monotonic(), (position.epochs + 1) * run.steps
    while position.steps < end:
        state, loss = functions.step(state, next(pipeline))
        position = position._replace(steps=position.steps + 1)
        losses.append(loss)
        if len(losses) > _STEPS_AHEAD:
            losses.popleft().block_until_ready()
        bar.update(run.config.batch_size * run.config.members)
        _leave_if_asked(run, position, state)
        if _is_due(run.config.run.checkpoint_steps, position.steps):
            _save(run, position, state)
    trained = _Moment(position, state, _watch(run, state))
    return trained, _Timing(started, position.steps - moment.position.steps, time.monotonic() - started)


def _validate(run: _Run, trained: _Moment, functions: CompiledFunctions) -> tuple[Scores, list[Picture]]:
    """Scores and pictures after the steps of an epoch, none of either where the epoch is not validated."""
    epoch, config = trained.position.epochs + 1, run.config
    if epoch != config.epochs and not _is_due(config.validation_epochs, epoch):
        return {}, []
    return validate(
        functions.validate,
        trained.state,
        validation_pipeline(run.data, config, run.grid),
        run.grid,
        between=lambda: _leave_if_asked(run, trained.position, trained.state),
        num_panels=_PANELS if _is_due(config.run.panel_epochs, epoch) else 0,
    )


def _finish_epoch(run: _Run, trained: _Moment, functions: CompiledFunctions, scores: Scores) -> _Moment:
    """Schedules advanced and best weights kept, by the scores of the epoch if there are any."""
    # No score is better than any other.
    unknown = np.full(run.config.members, np.nan, np.float32)
    score = _as_score(scores, run.config.best_metric) if scores else unknown
    judged = run.grid.spread((score, scores.get(run.config.plateau.metric, unknown)))
    state, position = functions.finish(trained.state, judged), trained.position
    position, watched = position._replace(epochs=position.epochs + 1), _watch(run, state)
    if (watched.best_step > trained.watched.best_step).any():
        position = position._replace(best_epoch=position.epochs)
    return _Moment(position, state, watched)


def _save_epoch(run: _Run, moment: _Moment) -> None:
    """The best model, the one that is kept for good and the state, as far as they are due after an epoch."""
    position, epoch = moment.position, moment.position.epochs
    if position.best_epoch == epoch:
        run.checkpoints.save_best(epoch, moment.state)
    if _is_due(run.config.run.keep_epochs, epoch):
        run.checkpoints.keep(epoch, moment.state)
    if _is_over(run, moment) or _is_due(run.config.run.save_epochs, epoch):
        run.checkpoints.save(position, moment.state)


def _rows(run: _Run, trained: _Moment, finished: _Moment, timing: _Timing, scores: Scores) -> Scores:
    """What the log has of an epoch, by name, one value for each member."""
    images = np.count_nonzero(~trained.watched.stopped) * run.config.batch_size * timing.steps
    return {
        "loss": trained.watched.loss_sum / run.steps,
        **{f"validation_{name}": values for name, values in scores.items()},
        "learning_rate": finished.watched.rate,
        "images_per_second": np.full(run.config.members, images / timing.seconds),
        "seconds": np.full(run.config.members, time.monotonic() - timing.started),
    }


def _write_log(
    log: Log, bar: tqdm, rows: Scores, trained: _Moment, finished: _Moment, panels: Sequence[Picture]
) -> None:
    """An epoch in the log and on the progress bar, of the members that were trained in it."""
    running, position = np.flatnonzero(~trained.watched.stopped).tolist(), finished.position
    log.epoch(position.epochs, position.steps, rows, running)
    log.panels(position.steps, panels)
    shown = {"loss": "loss", "average_precision": "validation_average_precision"}
    bar.set_postfix({label: f"{rows[name][running].mean():.3f}" for label, name in shown.items() if name in rows})


def _leave_if_asked(run: _Run, position: RunPosition, state: MemberState) -> None:
    if run.interruption.requested():
        _save(run, position, state)
        run.checkpoints.wait()
        raise InterruptedRunError(
            f"stopped as asked after step {position.steps}: {run.directory} has the state, the same command goes on"
        )


def _save(run: _Run, position: RunPosition, state: MemberState) -> None:
    """A state that has gone wrong is never saved."""
    _watch(run, state)
    run.checkpoints.save(position, state)


def _watch(run: _Run, state: MemberState) -> _Watched:
    """Waits for the devices, and ends the run where a loss was not finite."""
    schedule, step, best_score, best_step, bad_step, loss_sum = run.grid.gather(
        (state.schedule, state.step, state.best_score, state.best_step, state.bad_step, state.loss_sum)
    )
    rate = run.config.optimizer.learning_rate * np.asarray(rate_scale(run.config, run.steps)(schedule, step))
    watched = _Watched(schedule.stopped, best_score, best_step, bad_step, loss_sum, rate)
    if (watched.bad_step >= 0).any():
        member = int(np.argmax(watched.bad_step >= 0))
        raise TrainingDivergedError(
            f"the loss of member {member} was not finite at step {watched.bad_step[member] + 1}: {run.directory} keeps "
            f"the checkpoints from before; try a smaller config.optimizer.learning_rate in another --workdir"
        )
    return watched


def _progress(run: _Run, moment: _Moment) -> Progress:
    scores = _as_score({run.config.best_metric: moment.watched.best_score}, run.config.best_metric)
    epochs, steps, _ = moment.position
    return Progress(epochs, steps, tuple(scores.tolist()), useless(_best_rows(run, moment)))


def _best_rows(run: _Run, moment: _Moment) -> list[dict[str, Any]]:
    """Each member's line in the log of the epoch after which its best model was kept."""
    rows = {(row["member"], row["step"]): row for row in read_log(run.directory)}
    return [rows[key] for key in enumerate(moment.watched.best_step.tolist()) if key in rows]


def _parameters(config: TrainConfig) -> int:
    """Of one member."""
    return sum(leaf.size for leaf in jax.tree.leaves(state_shapes(config).variables["params"])) // config.members


def _as_score(scores: Scores, metric: ValidationMetric) -> Float[np.ndarray, "members"]:
    """The higher the better; the reverse of itself."""
    return -scores[metric] if metric == "loss" else scores[metric]


def _is_due(every: int, count: int) -> bool:
    return every > 0 and count % every == 0


def _bar(run: _Run, done: int) -> tqdm:
    """Images of all members, so that it shows how many a second, and the time left."""
    images = run.config.batch_size * run.config.members
    return tqdm(
        total=run.config.epochs * run.steps * images,
        initial=done * images,
        unit="image",
        mininterval=2.0,
        dynamic_ncols=True,
        disable=jax.process_index() > 0,
    )
