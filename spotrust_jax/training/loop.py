"""The training run: epochs of steps, validation, schedule, best model, resume, and what is written down meanwhile."""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float
from tqdm import tqdm

from spotrust_jax.checkpoints import CheckpointConfig, save_model
from spotrust_jax.config import DataConfig, TrainConfig, to_dict
from spotrust_jax.data.datasets import open_dataset, training_statistics
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.pipeline import Batch, placed_ahead, steps_per_epoch, training_batches, validation_batches
from spotrust_jax.ensemble import AXIS, Placement, over_members
from spotrust_jax.errors import InputError
from spotrust_jax.training.accumulation import check_pieces
from spotrust_jax.training.fine_tuning import check_start
from spotrust_jax.training.journal import Journal
from spotrust_jax.training.run_state import RunStates
from spotrust_jax.training.schedule import advance, rate_scale
from spotrust_jax.training.state import MemberState, initial_state
from spotrust_jax.training.step import DeviceBatch, ValidationSums, train_step, validation_step

# Steps that the host may run ahead of the devices.
_STEPS_AHEAD = 2


class TrainingDivergedError(RuntimeError):
    """The loss was not finite."""


class Progress(NamedTuple):
    """What a run ends with.

    Attributes:
        epochs: epochs done, also before a resume.
        steps: steps done.
        best_f1: each member's best validation F1.
    """

    epochs: int
    steps: int
    best_f1: tuple[float, ...]


def train(config: TrainConfig, workdir: str | os.PathLike, devices: Sequence[jax.Device]) -> Progress:
    """Trains, or goes on where an earlier run in `workdir` stopped, and keeps WORKDIR/best up to date.

    Raises:
        InputError: where the data or the working directory cannot be used.
        TrainingDivergedError: at a loss that is not finite; the checkpoints are those of the epoch before.
    """
    workdir = Path(workdir)
    training, validation = open_dataset(config.data, "train"), open_dataset(config.data, "validation")
    placement = Placement(config.members, len(devices))
    check_pieces(config, placement)
    config = _claim(workdir, config, training)
    states = RunStates(workdir)
    done, state = states.restore(config) or (0, initial_state(config))
    batch_size = placement.round_up(config.batch_size)
    steps = steps_per_epoch(len(training), batch_size)
    pixels = len(training) * config.augmentation.crop_size[0] * config.augmentation.crop_size[1]
    step = over_members(train_step(config, placement, pixels), placement, devices, donate=True)
    validate = over_members(validation_step(config, placement), placement, devices)
    finish = jax.jit(jax.vmap(lambda state, f1, metric: finish_epoch(state, f1, metric, config)))
    scale = rate_scale(config, steps)
    place = functools.partial(_on_devices, placement=placement, devices=devices)
    batches = placed_ahead(_member_batches(training, config, batch_size, first=done * steps), place)

    with Journal(workdir) as journal, _bar(config, steps, done) as bar:
        for epoch in range(done, config.epochs):
            if state.schedule.stopped.all():
                break
            started = time.monotonic()
            state, losses = _run_epoch(step, state, batches, placement, steps, bar)
            _check_finite(state, workdir)
            scores = _scores(_validate(validate, state, validation, config, placement, batch_size, place))
            improved = scores["f1_corrosion"] > state.best_f1
            state = jax.device_get(finish(state, scores["f1_corrosion"], scores[config.plateau.metric]))
            if improved.any():
                save_model(workdir / "best", state.best, _checkpoint_config(config), step=epoch + 1)
            states.save(epoch + 1, state)
            seconds = time.monotonic() - started
            rates = np.asarray(config.optimizer.learning_rate * scale(state.schedule, state.step))
            rows = {"loss": losses, **{f"validation_{k}": v for k, v in scores.items()}, "learning_rate": rates}
            journal.epoch(epoch + 1, (epoch + 1) * steps, rows, seconds)
            bar.set_postfix(loss=f"{np.mean(losses):.3f}", f1=f"{np.mean(scores['f1_corrosion']):.3f}")
            done = epoch + 1
        states.close()
    return Progress(done, done * steps, tuple(state.best_f1.tolist()))


def finish_epoch(
    state: MemberState, f1: Float[Array, ""], metric: Float[Array, ""], config: TrainConfig
) -> MemberState:
    """One member after validation: schedule advanced, best weights kept. A member that has stopped stays as it is."""
    running = ~state.schedule.stopped
    improved = running & (f1 > state.best_f1)
    schedule = advance(state.schedule, metric, config)
    return state._replace(
        schedule=_choose(running, schedule, state.schedule),
        best=_choose(improved, state.evaluated, state.best),
        best_f1=jnp.where(improved, f1, state.best_f1),
    )


def _choose(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _claim(workdir: Path, config: TrainConfig, training: Dataset) -> TrainConfig:
    """Writes the configuration down, or makes sure that the one already there differs in nothing that changes weights.

    The result has channel statistics: if none are given, those of the run that is resumed, of the checkpoint that
    training starts from, or of the training split.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / "config.json"
    earlier = json.loads(path.read_text()) if path.is_file() else {}
    # A run that goes on needs its start no more.
    start = None if earlier else check_start(config)
    config = dataclasses.replace(config, data=_with_statistics(config.data, earlier.get("data"), start, training))
    values = json.loads(json.dumps(to_dict(config)))
    if earlier:
        changed = [name for name in _differences(earlier, values) if name not in _changeable(config)]
        if changed:
            raise InputError(
                f"{workdir} belongs to a run with another configuration ({', '.join(changed)} differ): "
                f"give another --workdir, or the same configuration to resume"
            )
    path.write_text(json.dumps(values, indent=2) + "\n")
    return config


def _changeable(config: TrainConfig) -> tuple[str, ...]:
    """Fields that a resumed run may change."""
    # A cosine has its length from the number of epochs, from the first step on.
    return ("data.num_workers",) if config.schedule.kind == "cosine" else ("data.num_workers", "epochs")


def _with_statistics(
    data: DataConfig, earlier: dict | None, start: CheckpointConfig | None, training: Dataset
) -> DataConfig:
    if data.mean and data.deviation:
        return data
    if earlier:
        mean, deviation = tuple(earlier["mean"]), tuple(earlier["deviation"])
    elif start:
        # Weights go on from the inputs that they know.
        mean, deviation = start.mean, start.deviation
    else:
        mean, deviation = training_statistics(data, training)
    return dataclasses.replace(data, mean=data.mean or mean, deviation=data.deviation or deviation)


def _differences(a: dict, b: dict, prefix: str = "") -> list[str]:
    """Dotted names of the fields that differ."""
    names = []
    for name in sorted(a.keys() | b.keys()):
        if isinstance(a.get(name), dict) and isinstance(b.get(name), dict):
            names += _differences(a[name], b[name], f"{prefix}{name}.")
        elif a.get(name) != b.get(name):
            names.append(f"{prefix}{name}")
    return names


def _member_batches(dataset: Dataset, config: TrainConfig, batch_size: int, first: int) -> Iterator[list[Batch]]:
    """For each step a batch of every member; each member has an order of its own."""
    streams = [
        training_batches(
            dataset,
            # Far apart, so that member 1 of one seed is not member 0 of the next.
            seed=config.seed + 1_000_003 * member,
            batch_size=batch_size,
            size=config.data.image_size,
            first=first,
            num_workers=config.data.num_workers,
        )
        for member in range(config.members)
    ]
    for batches in zip(*streams, strict=True):
        # Keys of training noise follow the step and the place in its batch, which together are the global index.
        yield [batch._replace(indices=batch.indices % batch_size) for batch in batches]


def _on_devices(batches: Sequence[Batch], placement: Placement, devices: Sequence[jax.Device]) -> DeviceBatch:
    """Batches of all members to leaves [devices, members_per_device, share of the batch, ...], each on its device."""
    batch = Batch(*(np.stack(leaves) for leaves in zip(*batches, strict=True)))
    spread = placement.split(DeviceBatch(*batch)._replace(indices=batch.indices.astype(np.int32)))
    return jax.device_put(spread, NamedSharding(Mesh(np.array(devices), AXIS), PartitionSpec(AXIS)))


def _run_epoch(
    step: Any, state: MemberState, batches: Iterator[DeviceBatch], placement: Placement, steps: int, bar: tqdm
) -> tuple[MemberState, np.ndarray]:
    """The state after `steps` steps, and each member's mean loss."""
    spread, losses = placement.spread(state), []
    for _ in range(steps):
        spread, loss = step(spread, next(batches))
        losses.append(loss)
        if len(losses) > _STEPS_AHEAD:
            losses[-1 - _STEPS_AHEAD].block_until_ready()
        bar.update()
    mean_loss = np.mean([placement.gather(loss) for loss in losses], axis=0)
    return placement.gather(spread), mean_loss


def _check_finite(state: MemberState, workdir: Path) -> None:
    bad = state.bad_step
    if (bad >= 0).any():
        member = int(np.argmax(bad >= 0))
        raise TrainingDivergedError(
            f"the loss of member {member} was not finite at step {bad[member] + 1}: {workdir} keeps the checkpoints of "
            f"the epoch before; try a smaller config.optimizer.learning_rate in another --workdir"
        )


def _validate(
    validate: Any,
    state: MemberState,
    dataset: Dataset,
    config: TrainConfig,
    placement: Placement,
    batch_size: int,
    place: Callable[[list[Batch]], DeviceBatch],
) -> ValidationSums:
    """Sums of every member over the validation split, float64."""
    spread = placement.spread(state)
    batches = validation_batches(dataset, batch_size=batch_size, size=config.data.image_size)
    placed = placed_ahead(([batch] * placement.members for batch in batches), place)
    parts = [validate(spread, batch) for batch in placed]
    gathered = [placement.gather(part) for part in parts]
    return jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=np.float64), *gathered)


def _scores(sums: ValidationSums) -> dict[str, np.ndarray]:
    """Validation metrics, one value for each member, over all pixels of the split."""
    tp, fp, fn, tn = sums[:4]
    pixels = tp + fp + fn + tn
    return {
        "accuracy": (tp + tn) / pixels,
        "f1_corrosion": 2 * tp / np.maximum(2 * tp + fp + fn, 1),
        "iou_corrosion": tp / np.maximum(tp + fp + fn, 1),
        "loss": sums.loss / pixels,
        "epistemic": sums.epistemic / pixels,
    }


def _checkpoint_config(config: TrainConfig) -> CheckpointConfig:
    return CheckpointConfig(
        model=config.model,
        members=config.members,
        mean=config.data.mean,
        deviation=config.data.deviation,
        inference_size=max(config.data.image_size),
        positive_weight=config.loss.positive_weight,
        log_variance_bound=config.loss.log_variance_bound,
        log_variance_bounding=config.loss.log_variance_bounding,
    )


def _bar(config: TrainConfig, steps: int, done: int) -> tqdm:
    return tqdm(total=config.epochs * steps, initial=done * steps, unit="step", mininterval=2.0, dynamic_ncols=True)
