"""Pretraining of the backbone without labels: a run that goes on where it was interrupted.

What it computes is in distillation.py.
"""

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
from spotrust_jax.config import PretrainConfig
from spotrust_jax.data.card import image_statistics
from spotrust_jax.data.photograph_pool import make_pool
from spotrust_jax.data.unlabelled import read_photographs
from spotrust_jax.errors import InputError
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.teacher import STRIDES, Teacher, load_teacher
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.parallel import DeviceGrid, over_members
from spotrust_jax.training.accumulation import check_shares
from spotrust_jax.training.checkpointing import LatestState, disk_errors
from spotrust_jax.training.distillation import (
    Inputs,
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

# Steps that the host may run ahead of the devices.
_STEPS_AHEAD = 4


class Pretrained(NamedTuple):
    """What a run ends with: steps done, also before a resume, and the lowest loss on held-out crops."""

    steps: int
    best_loss: float


def pretrain(
    config: PretrainConfig,
    run_directory: str | os.PathLike,
    devices: Sequence[jax.Device],
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
    run_directory, grid = Path(run_directory), DeviceGrid(1, tuple(devices))
    _check(config, grid)
    teacher = load_teacher(config.teacher) if teacher is None else teacher
    images, held_out = read_photographs(config.data, config.seed)
    config = _with_statistics(config, images)
    write_down(run_directory, config, changeable=("teacher",))
    remedy = f"lower config.batch_size ({config.batch_size}) or config.data.long_side ({config.data.long_side})"
    with contextlib.ExitStack() as stack, memory_errors(remedy):
        pool = make_pool(images)
        fixed = grid.spread(_one_member((teacher, pool)))
        run = _Run(
            run_directory,
            config,
            grid,
            Inputs(*fixed, _places(config, grid)),
            (len(images) - held_out, held_out),
            stack,
        )
        run.to_the_end()
    return run.position


class _Run:
    """A run in progress; `counts` are the photographs that train and those held out, `stack` closes what is open."""

    def __init__(
        self,
        run_directory: Path,
        config: PretrainConfig,
        grid: DeviceGrid,
        inputs: Inputs,
        counts: tuple[int, int],
        stack: contextlib.ExitStack,
    ):
        self._run_directory, self._config, self._grid, self._inputs = run_directory, config, grid, inputs
        self._step = over_members(pretrain_step(config, grid.placement, counts[0]), grid, donate=True)
        self._counts = counts
        self._evaluations = -(-counts[1] // config.batch_size)
        self._interruption = stack.enter_context(Interruption())
        self._latest = LatestState(run_directory, grid)
        stack.callback(self._latest.close)
        if not (run_directory / "best" / CONFIG_NAME).exists():
            write_config(run_directory / "best", _checkpoint_config(config))
        self._best = stack.enter_context(model_manager(run_directory / "best", in_background=True))
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), state_shapes(config))
        restored = self._latest.restore(shapes)
        self.position = Pretrained(**restored[0]) if restored else Pretrained(0, float("inf"))
        self._state = restored[1] if restored else grid.spread(_one_member(initial_state(config)))
        self._log = stack.enter_context(Log(run_directory, self._evaluation_number, self.position.steps))
        self._bar = stack.enter_context(_bar(config, self.position.steps))
        self._started, self._timed = time.monotonic(), 0

    def to_the_end(self) -> None:
        """What is left of the run."""
        if self.position.steps == self._config.steps:
            return
        with ThreadPoolExecutor(1) as background:
            # While the first steps are taken, or the step is compiled.
            self._evaluate = background.submit(self._compile_evaluation)
            self._take_steps()
        with disk_errors(self._run_directory, self._latest):
            self._latest.wait()
            self._best.wait_until_finished()

    def _compile_evaluation(self) -> Callable:
        evaluate = over_members(evaluation_step(self._config, self._grid.placement, *self._counts), self._grid)
        arguments = (self._state, (self._inputs, self._grid.spread(np.zeros(1, np.int32))))
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)
        return evaluate.lower(*shapes).compile()

    def _take_steps(self) -> None:
        config, losses = self._config, []
        while self.position.steps < config.steps:
            self._state, loss = self._step(self._state, self._inputs)
            self.position = self.position._replace(steps=self.position.steps + 1)
            self._timed += 1
            losses.append(loss)
            if len(losses) > _STEPS_AHEAD:
                losses.pop(0).block_until_ready()
            self._bar.update(config.batch_size)
            if self.position.steps % config.evaluation_steps == 0 or self.position.steps == config.steps:
                self._judge()
                self._save()
            self._leave_if_asked()

    @property
    def _evaluation_number(self) -> int:
        """Evaluations done, as the log counts them."""
        done = self.position.steps // self._config.evaluation_steps
        return done + (
            self.position.steps == self._config.steps and self._config.steps % self._config.evaluation_steps > 0
        )

    def _judge(self) -> None:
        """Measures the loss on held-out crops, writes it down, and keeps the model where it is the lowest so far."""
        config, steps = self._config, self.position.steps
        since = steps % config.evaluation_steps or config.evaluation_steps
        trained = self._grid.gather(self._state.loss_sum)[0] / since
        seconds = time.monotonic() - self._started
        held_out = self._held_out_losses()
        if not np.isfinite([trained, held_out]).all():
            raise TrainingDivergedError(
                f"the loss was not finite before step {steps}: {self._run_directory} keeps the checkpoints from "
                f"before; try a smaller config.learning_rate in another --workdir"
            )
        rows = {
            **_by_stride("loss", trained),
            **_by_stride("held_out_loss", held_out),
            "images_per_second": self._timed * config.batch_size / seconds,
            "seconds": seconds,
        }
        self._log.epoch(self._evaluation_number, steps, {name: np.array([x]) for name, x in rows.items()}, [0])
        self._bar.set_postfix(loss=f"{trained.mean():.3f}", held_out=f"{held_out.mean():.3f}")
        self._started, self._timed = time.monotonic(), 0
        if held_out.mean() < self.position.best_loss:
            self.position = self.position._replace(best_loss=float(held_out.mean()))
            self._save_best()

    def _held_out_losses(self) -> Float[np.ndarray, "stride"]:
        """By stride, over as many crops as show each held-out photograph at least once."""
        numbers = [self._grid.spread(np.array([number], np.int32)) for number in range(self._evaluations)]
        evaluate = self._evaluate.result()
        losses = [self._grid.gather(evaluate(self._state, (self._inputs, number)))[0] for number in numbers]
        return np.mean(losses, axis=0)

    def _save_best(self) -> None:
        if self.position.steps not in self._best.all_steps():
            args = ocp.args.StandardSave(self._grid.stacked(self._state.variables))
            with disk_errors(self._run_directory, self._latest):
                self._best.save(self.position.steps, args=args, force=True)

    def _save(self) -> None:
        with disk_errors(self._run_directory, self._latest):
            # The state knows the lowest loss: it must never be there before the model that has it.
            self._best.wait_until_finished()
            self._latest.save(self.position.steps, self.position._asdict(), self._state)

    def _leave_if_asked(self) -> None:
        if not self._interruption.requested():
            return
        self._save()
        with disk_errors(self._run_directory, self._latest):
            self._latest.wait()
        raise InterruptedRunError(
            f"stopped as asked after step {self.position.steps}: {self._run_directory} has the state, the same command "
            f"goes on"
        )


def _check(config: PretrainConfig, grid: DeviceGrid) -> None:
    check_shares(config.batch_size, grid.placement)
    crop = config.augmentation.crop_size
    if any(side % COARSEST_CELL or side <= 0 for side in crop):
        raise InputError(f"config.augmentation.crop_size is {crop}: give multiples of {COARSEST_CELL} pixels")


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
        mean=config.data.mean,
        std=config.data.std,
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
