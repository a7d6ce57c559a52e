"""Pretraining of the backbone without labels: a run that goes on where it was interrupted.

What it computes is in distillation.py.
"""

import collections
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Float, PyTree
from tqdm import tqdm

from spotrust_jax.checkpoints import CONFIG_NAME, CheckpointConfig, model_manager, write_config
from spotrust_jax.config import PretrainConfig, known
from spotrust_jax.data.card import image_statistics
from spotrust_jax.data.photograph_pool import make_pool
from spotrust_jax.data.unlabelled import read_photographs
from spotrust_jax.errors import InputError
from spotrust_jax.models.teacher import STRIDES, Teacher, load_teacher
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.parallel import DeviceGrid, over_members
from spotrust_jax.training.checkpointing import LatestState, disk_errors
from spotrust_jax.training.checks import check_pretraining
from spotrust_jax.training.distillation import (
    Inputs,
    PretrainState,
    evaluation_step,
    initial_state,
    pretrain_step,
    state_shapes,
)
from spotrust_jax.training.interruption import InterruptedRunError, Interruption
from spotrust_jax.training.log import Log
from spotrust_jax.training.loop import TrainingDivergedError
from spotrust_jax.training.memory import memory_errors
from spotrust_jax.training.run_directory import write_down
from spotrust_jax.typing import Device

# Steps that the host may run ahead of the devices.
_STEPS_AHEAD = 4


class Pretrained(NamedTuple):
    """What a run ends with: steps done, also before a resume, and the lowest loss on held-out crops."""

    steps: int
    best_loss: float


def pretrain(
    config: PretrainConfig,
    run_directory: str | os.PathLike,
    devices: Sequence[Device],
    teacher: Teacher | None = None,
) -> Pretrained:
    """Pretrains, or goes on where an earlier run in `run_directory` stopped; RUN/best has the lowest held-out loss.

    Args:
        config: the experiment.
        run_directory: belongs to this run and no other.
        devices: of this process; they share each batch.
        teacher: its weights, where they are at hand; else those that `config.teacher` names.

    Raises:
        InputError: where the configuration, the photographs, the teacher or the run directory cannot be used.
        TrainingDivergedError: at a loss that is not finite; the checkpoints are from before it.
        InterruptedRunError: after SIGTERM; the state is saved.
        RunError: where a device has too little memory, or the disk does not take what is written.
    """
    directory, grid = Path(run_directory), DeviceGrid(1, tuple(devices))
    check_pretraining(config, grid.placement)
    teacher = load_teacher(config.teacher) if teacher is None else teacher
    images, held_out = read_photographs(config.data, config.seed)
    config = _with_statistics(config, images)
    write_down(directory, config, changeable=("teacher",))
    with (
        memory_errors(_memory_remedy(config)),
        Interruption() as interruption,
        contextlib.closing(LatestState(directory, grid)) as latest,
        _best_model(directory, config) as best,
    ):
        weights, pool = grid.spread(_one_member((teacher, make_pool(images))))
        inputs = Inputs(weights, pool, _places(config, grid))
        counts = len(images) - held_out, held_out
        run = _Run(directory, config, grid, inputs, counts, interruption, latest, best)
        position, state = _restore(run) or _begin(run)
        return _train(run, position, state) if position.steps < config.steps else position


class _Run(NamedTuple):
    """What is the same from a run's first step to its last; `counts` are photographs that train and those held out."""

    directory: Path
    config: PretrainConfig
    grid: DeviceGrid
    inputs: Inputs
    counts: tuple[int, int]
    interruption: Interruption
    latest: LatestState
    best: ocp.CheckpointManager


def _restore(run: _Run) -> tuple[Pretrained, PretrainState] | None:
    """Where an earlier start stopped, None where there was none."""
    shapes = state_shapes(run.config)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), shapes)
    restored = run.latest.restore(shapes)
    return restored and (Pretrained(**restored[0]), restored[1])


def _begin(run: _Run) -> tuple[Pretrained, PretrainState]:
    return Pretrained(0, float("inf")), run.grid.spread(_one_member(initial_state(run.config)))


def _train(run: _Run, position: Pretrained, state: PretrainState) -> Pretrained:
    """All that is left of a run that is not over: steps, and after some of them an evaluation."""
    step = over_members(pretrain_step(run.config, run.grid.placement, run.counts[0]), run.grid, donate=True)
    with (
        ThreadPoolExecutor(1) as background,
        Log(run.directory, _evaluations(run.config, position.steps), position.steps) as log,
        _bar(run.config, position.steps) as bar,
    ):
        # While the first steps are taken, or the step is compiled.
        evaluate = background.submit(_compile_evaluation, run, _shapes(state))
        while position.steps < run.config.steps:
            position, state, timing = _take_steps(run, step, position, state, bar)
            trained, held_out = _losses(run, evaluate.result(), position, state)
            _write_log(run, log, bar, position, timing, trained, held_out)
            if held_out.mean() < position.best_loss:
                position = position._replace(best_loss=float(held_out.mean()))
                _save_best(run, position, state)
            _save(run, position, state)
            _leave_if_asked(run, position, state)
        with disk_errors(run.directory, run.latest):
            run.latest.wait()
            run.best.wait_until_finished()
    return position


class _Timing(NamedTuple):
    """Steps since the last evaluation, or since the start, and when the first of them began."""

    started: float
    steps: int


def _take_steps(
    run: _Run, step: Callable, position: Pretrained, state: PretrainState, bar: tqdm
) -> tuple[Pretrained, PretrainState, _Timing]:
    """The steps up to the next evaluation."""
    first, started, losses = position.steps, time.monotonic(), collections.deque()
    while True:
        state, loss = step(state, run.inputs)
        position = position._replace(steps=position.steps + 1)
        losses.append(loss)
        if len(losses) > _STEPS_AHEAD:
            losses.popleft().block_until_ready()
        bar.update(run.config.batch_size)
        if position.steps % run.config.evaluation_steps == 0 or position.steps == run.config.steps:
            return position, state, _Timing(started, position.steps - first)
        _leave_if_asked(run, position, state)


def _losses(
    run: _Run, evaluate: Callable, position: Pretrained, state: PretrainState
) -> tuple[Float[np.ndarray, "stride"], Float[np.ndarray, "stride"]]:
    """Mean losses by stride: of the steps since the last evaluation, and on held-out crops.

    Raises:
        TrainingDivergedError: where one is not finite.
    """
    since = position.steps % run.config.evaluation_steps or run.config.evaluation_steps
    trained = run.grid.gather(state.loss_sum)[0] / since
    held_out = _held_out_losses(run, evaluate, state)
    if not np.isfinite([trained, held_out]).all():
        raise TrainingDivergedError(
            f"the loss was not finite before step {position.steps}: {run.directory} keeps the checkpoints from before; "
            f"try a smaller config.learning_rate in another --workdir"
        )
    return trained, held_out


def _held_out_losses(run: _Run, evaluate: Callable, state: PretrainState) -> Float[np.ndarray, "stride"]:
    """By stride, over as many crops as show each held-out photograph at least once."""
    batches = -(-run.counts[1] // run.config.batch_size)
    numbers = [run.grid.spread(np.array([number], np.int32)) for number in range(batches)]
    return np.mean([run.grid.gather(evaluate(state, (run.inputs, number)))[0] for number in numbers], axis=0)


def _compile_evaluation(run: _Run, state: PretrainState) -> Callable:
    """The evaluation for states of such shapes."""
    evaluate = over_members(evaluation_step(run.config, run.grid.placement, *run.counts), run.grid)
    return evaluate.lower(state, _shapes((run.inputs, run.grid.spread(np.zeros(1, np.int32))))).compile()


def _shapes(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def _evaluations(config: PretrainConfig, steps: int) -> int:
    """Evaluations done after so many steps: the last step has one whatever its number."""
    return steps // config.evaluation_steps + (steps == config.steps and steps % config.evaluation_steps > 0)


def _write_log(
    run: _Run,
    log: Log,
    bar: tqdm,
    position: Pretrained,
    timing: _Timing,
    trained: Float[np.ndarray, "stride"],
    held_out: Float[np.ndarray, "stride"],
) -> None:
    """An evaluation in the log and on the progress bar."""
    seconds = time.monotonic() - timing.started
    rows = {
        **_by_stride("loss", trained),
        **_by_stride("held_out_loss", held_out),
        "images_per_second": timing.steps * run.config.batch_size / seconds,
        "seconds": seconds,
    }
    number = _evaluations(run.config, position.steps)
    log.epoch(number, position.steps, {name: np.array([value]) for name, value in rows.items()}, [0])
    bar.set_postfix(loss=f"{trained.mean():.3f}", held_out=f"{held_out.mean():.3f}")


def _save_best(run: _Run, position: Pretrained, state: PretrainState) -> None:
    if position.steps not in run.best.all_steps():
        args = ocp.args.StandardSave(run.grid.stacked(state.variables))
        with disk_errors(run.directory, run.latest):
            run.best.save(position.steps, args=args, force=True)


def _save(run: _Run, position: Pretrained, state: PretrainState) -> None:
    with disk_errors(run.directory, run.latest):
        # The state knows the lowest loss: it must never be there before the model that has it.
        run.best.wait_until_finished()
        run.latest.save(position.steps, position._asdict(), state)


def _leave_if_asked(run: _Run, position: Pretrained, state: PretrainState) -> None:
    if not run.interruption.requested():
        return
    _save(run, position, state)
    with disk_errors(run.directory, run.latest):
        run.latest.wait()
    raise InterruptedRunError(
        f"stopped as asked after step {position.steps}: {run.directory} has the state, the same command goes on"
    )


def _best_model(directory: Path, config: PretrainConfig) -> ocp.CheckpointManager:
    """Where the best model goes, with its configuration."""
    if not (directory / "best" / CONFIG_NAME).exists():
        write_config(directory / "best", _checkpoint_config(config))
    return model_manager(directory / "best", in_background=True)


def _memory_remedy(config: PretrainConfig) -> str:
    return f"lower config.batch_size ({config.batch_size}) or config.data.long_side ({config.data.long_side})"


def _with_statistics(config: PretrainConfig, images: Sequence[np.ndarray]) -> PretrainConfig:
    if config.data.mean and config.data.std:
        return config
    mean, std = image_statistics(images)
    if min(std) <= 0:
        raise InputError(f"a channel of the photographs is the same everywhere (standard deviation {std}): check them")
    data = dataclasses.replace(config.data, mean=config.data.mean or mean, std=config.data.std or std)
    return dataclasses.replace(config, data=data)


def _checkpoint_config(config: PretrainConfig) -> CheckpointConfig:
    """As fine-tuning reads it; everything but the backbone is untrained."""
    untrained = tuple(sorted(("head", "aleatoric", *variant_of(config.model).part_names)))
    return CheckpointConfig(
        model=config.model,
        members=1,
        mean=known(config.data.mean),
        std=known(config.data.std),
        inference_size=config.data.long_side,
        untrained=untrained,
    )


def _one_member(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], tree)


def _places(config: PretrainConfig, grid: DeviceGrid) -> jax.Array:
    return grid.split({member: rows.astype(np.int32) for member, rows in grid.rows(config.batch_size).items()})


def _by_stride(name: str, losses: Float[np.ndarray, "stride"]) -> dict[str, float]:
    of_strides = {f"{name}_stride{stride}": float(loss) for stride, loss in zip(STRIDES, losses, strict=True)}
    return {name: float(losses.mean()), **of_strides}


def _bar(config: PretrainConfig, done: int) -> tqdm:
    """Crops, so that it shows how many a second, and the time left."""
    size = config.batch_size
    return tqdm(total=config.steps * size, initial=done * size, unit="crop", mininterval=2.0, dynamic_ncols=True)
