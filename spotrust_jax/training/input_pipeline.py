"""From data sets to devices: every member's batches, as far as the devices of this process need them."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from spotrust_jax.config import DataConfig, TrainConfig
from spotrust_jax.data.datasets import open_dataset
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.pipeline import Batch, blank_batch, placed_ahead, training_batches, validation_batches
from spotrust_jax.data.resized import KEPT_BYTES, ResizedDataset, ShapeOf
from spotrust_jax.data.sizes import inference_shape, largest_shape, training_shape
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.step import DeviceBatch


class MemberData(NamedTuple):
    """What one member learns from and is judged by."""

    training: Dataset
    validation: Dataset


class ScaledData(NamedTuple):
    """The same at the trained scale."""

    training: ResizedDataset
    validation: ResizedDataset


def open_data(config: TrainConfig) -> tuple[MemberData, ...]:
    """The data of every member: the same for all, or a fold each.

    Raises:
        InputError: where a split is not there.
    """
    if config.data.fold_of_member:
        return tuple(_open(dataclasses.replace(config.data, fold=fold)) for fold in range(config.members))
    return (_open(config.data),) * config.members


def at_trained_size(data: Sequence[MemberData], config: TrainConfig) -> tuple[ScaledData, ...]:
    """The same at the scale that networks are trained at, kept in memory as far as it fits; what is shared stays so.

    All that train share `KEPT_BYTES`, and so do all that validate, however many folds there are.
    """
    scale = config.data.image_size
    training_size = functools.partial(training_shape, scale=scale)
    validation_size = functools.partial(inference_shape, scale=scale)
    training = _resized([one.training for one in data], training_size, config.data)
    validation = _resized([one.validation for one in data], validation_size, config.data)
    return tuple(map(ScaledData, training, validation))


def epoch_images(data: Sequence[MemberData | ScaledData]) -> int:
    """Photographs of an epoch, alike for all members: as many as the member with the fewest has."""
    return min(len(member.training) for member in data)


def _resized(datasets: Sequence[Dataset], shape_of: ShapeOf, config: DataConfig) -> list[ResizedDataset]:
    """Each data set at the trained scale, one that stands there several times as one."""
    distinct = {id(dataset): dataset for dataset in datasets}
    kept_bytes = KEPT_BYTES // (len(distinct) * max(1, config.num_workers))
    resized = {key: ResizedDataset(dataset, shape_of, kept_bytes) for key, dataset in distinct.items()}
    return [resized[id(dataset)] for dataset in datasets]


class TrainingPipeline:
    """Training batches of all members on the devices, for ever, from step number `first` on.

    Photographs lie, as they are, in squares that any photograph fits into, so that all batches have one shape.

    Each member has an order of its own. `stopped` members get blank batches, for which nothing is read; it may change.
    """

    def __init__(
        self,
        data: Sequence[ScaledData],
        config: TrainConfig,
        grid: DeviceGrid,
        first: int,
        stopped: Bool[np.ndarray, "members"],
    ):
        self.stopped = stopped
        self._batch_size = config.batch_size
        self._streams = {
            member: training_batches(
                data[member].training,
                # Far apart, so that member 1 of one seed is not member 0 of the next.
                seed=config.seed + 1_000_003 * member,
                batch_size=config.batch_size,
                size=largest_shape(config.data.image_size),
                first=first,
                rows=rows,
                site_power=config.data.site_power,
                num_workers=config.data.num_workers,
            )
            for member, rows in grid.rows(config.batch_size).items()
        }
        size = largest_shape(config.data.image_size)
        self._blanks = {m: _blank(rows, size) for m, rows in grid.rows(config.batch_size).items()}
        self._placed = placed_ahead(self._batches(), grid.split)

    def __next__(self) -> DeviceBatch:
        return next(self._placed)

    def close(self) -> None:
        """Ends the threads and processes that read ahead."""
        for stream in self._streams.values():
            stream.close()

    def _batches(self) -> Iterator[dict[int, DeviceBatch]]:
        while True:
            yield {
                member: self._blanks[member] if self.stopped[member] else self._next(stream)
                for member, stream in self._streams.items()
            }

    def _next(self, stream: Iterator[Batch]) -> DeviceBatch:
        batch = _for_devices(next(stream))
        # Keys of training noise follow the step and the place in its batch, which together are the global index.
        return batch._replace(indices=batch.indices % self._batch_size)


def validation_pipeline(data: Sequence[ScaledData], config: TrainConfig, grid: DeviceGrid) -> Iterator[DeviceBatch]:
    """The validation split of every member on the devices, once, each photograph exactly as prediction sees it.

    A batch has photographs of one shape, because the network's answer near an edge, and by its deep layers everywhere,
    depends on what lies beyond. Members with fewer batches of a shape get blank ones. Members of a device that have one
    split between them are given what was read once.
    """
    shapes = sorted({shape for member in data for shape in member.validation.shapes})
    rows = grid.rows(config.batch_size)
    batches = (batch for shape in shapes for batch in _validation_batches(data, config, grid, rows, shape))
    return placed_ahead(batches, grid.split)


def _validation_batches(
    data: Sequence[ScaledData],
    config: TrainConfig,
    grid: DeviceGrid,
    rows: Mapping[int, np.ndarray],
    shape: tuple[int, int],
) -> Iterator[dict[int, DeviceBatch]]:
    """Those of one shape, by member."""
    examples = [np.flatnonzero([own == shape for own in member.validation.shapes]) for member in data]
    streams, source = {}, {}
    for member, places in rows.items():
        dataset = data[member].validation
        source[member] = (id(dataset), member // grid.placement.members_per_device)
        if source[member] not in streams:
            streams[source[member]] = validation_batches(
                dataset, batch_size=config.batch_size, size=shape, examples=examples[member], rows=places
            )
    for _ in range(max(-(-len(numbers) // config.batch_size) for numbers in examples)):
        read = {key: next(stream, None) for key, stream in streams.items()}
        yield {
            member: _blank(places, shape) if (batch := read[source[member]]) is None else _for_devices(batch)
            for member, places in rows.items()
        }


def _open(config: DataConfig) -> MemberData:
    return MemberData(open_dataset(config, "train"), open_dataset(config, "validation"))


def _for_devices(batch: Batch) -> DeviceBatch:
    return DeviceBatch._make(batch)._replace(indices=batch.indices.astype(np.int32))


def _blank(rows: np.ndarray, size: tuple[int, int]) -> DeviceBatch:
    """Nothing to look at."""
    return _for_devices(blank_batch(rows, size))
