"""Examples to batches: shuffled for ever by seed for training, in order and padded for validation.

Training batch k is a function of seed and k alone, so a run goes on from any step with the batches it would have had,
however many threads, worker processes or training processes share the work.
"""

import collections
import functools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple, TypeVar

import grain
import numpy as np
from absl import flags
from jaxtyping import Bool, Int32, Int64, UInt8

from spotrust_jax.data.example import Dataset
from spotrust_jax.data.example_order import sites_of, training_order
from spotrust_jax.errors import InputError

_Item = TypeVar("_Item")
_Placed = TypeVar("_Placed")

# Batches that are read at the same time, and that are kept ready, by each worker process or by the only process.
_THREADS, _READY = 4, 8


class Batch(NamedTuple):
    """Examples in the upper left corners of arrays of one size; where `valid` is false one is blank, to fill the batch.

    `extents` are heights and widths in pixels; nothing is to be seen beyond them. `ignored` is true where the
    class is unknown. `indices` are places in the endless order of training, where batch k begins at k times the batch
    size, or places in the split that is validated.
    """

    images: UInt8[np.ndarray, "batch height width 3"]
    masks: Bool[np.ndarray, "batch height width"]
    ignored: Bool[np.ndarray, "batch height width"]
    extents: Int32[np.ndarray, "batch 2"]
    valid: Bool[np.ndarray, "batch"]
    indices: Int64[np.ndarray, "batch"]


def training_batches(
    dataset: Dataset,
    *,
    seed: int,
    batch_size: int,
    size: tuple[int, int],
    first: int = 0,
    rows: Int64[np.ndarray, "rows"] | None = None,
    site_power: float = 1.0,
    num_workers: int = 0,
) -> Generator[Batch, None, None]:
    """Endless batches from number `first` on: every epoch in an order of its own, batches running over its end.

    `size` is the height and width that every example fits into, as it is. `rows` are the places of the batch that are
    read here, all of them unless given: several training processes read each its own of the same batches. `num_workers`
    processes read ahead, beside a few threads in each; without any, the threads do so here.
    """
    rows = _places(rows, batch_size)
    order = training_order(sites_of(dataset), seed, site_power).batch(batch_size)
    read = functools.partial(_read_rows, dataset, rows, size)
    batches = _read_ahead(order.map_with_index(read)[first:])
    return _closing(_in_workers(batches, num_workers) if num_workers else batches)


def validation_batches(
    dataset: Dataset,
    *,
    batch_size: int,
    size: tuple[int, int],
    examples: Int64[np.ndarray, "examples"] | None = None,
    rows: Int64[np.ndarray, "rows"] | None = None,
) -> Iterator[Batch]:
    """Every example once, in order; the last batch is filled up with blank examples that are not `valid`.

    `examples` are the numbers of those that are read, all of them unless given; `size` and `rows` as in training:
    whatever the rows, there are equally many batches.
    """
    rows = _places(rows, batch_size)
    examples = np.arange(len(dataset)) if examples is None else examples
    filled = -(-len(examples) // batch_size) * batch_size
    # Numbers beyond the end stand for blank ones.
    numbers = np.concatenate([examples, len(dataset) + np.arange(filled - len(examples))])
    starts = grain.MapDataset.range(0, filled, batch_size)
    read = lambda start: _read(dataset, numbers[start + rows], numbers[start + rows], size)  # noqa: E731
    return _closing(_read_ahead(starts.map(read)))


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Steps after which training validates: whole batches in `count` examples, at least one, alike in all processes."""
    return max(count // batch_size, 1)


def placed_ahead(batches: Iterable[_Item], place: Callable[[_Item], _Placed], ahead: int = 2) -> Iterator[_Placed]:
    """`place(batch)` for each batch, called `ahead` batches before it is asked for.

    Where `place` starts a transfer to a device and returns, the device computes meanwhile.
    """
    waiting = collections.deque()
    for batch in batches:
        waiting.append(place(batch))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _places(rows: Int64[np.ndarray, "rows"] | None, batch_size: int) -> Int64[np.ndarray, "rows"]:
    return np.arange(batch_size) if rows is None else rows


def _read_rows(dataset: Dataset, rows: np.ndarray, size: tuple[int, int], number: int, batch: np.ndarray) -> Batch:
    """These rows of the batch with this number, which holds the numbers of its examples."""
    return _read(dataset, batch[rows], number * len(batch) + rows, size)


def _read(dataset: Dataset, examples: np.ndarray, indices: np.ndarray, size: tuple[int, int]) -> Batch:
    """The examples with these numbers, those beyond the end blank."""
    batch = blank_batch(np.asarray(indices, np.int64), size)
    for row in np.flatnonzero(examples < len(dataset)):
        example = dataset[int(examples[row])]
        height, width = example.mask.shape
        batch.images[row, :height, :width], batch.masks[row, :height, :width] = example.image, example.mask
        if example.ignored is not None:
            batch.ignored[row, :height, :width] = example.ignored
        batch.extents[row], batch.valid[row] = (height, width), True
    return batch


def blank_batch(indices: Int64[np.ndarray, "batch"], size: tuple[int, int]) -> Batch:
    """Nothing to look at, at these places."""
    shape = (len(indices), *size)
    masks, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    extents = np.full((len(indices), 2), size, np.int32)
    return Batch(np.zeros((*shape, 3), np.uint8), masks, ignored, extents, np.zeros(len(indices), bool), indices)


def _in_workers(batches: grain.IterDataset, num_workers: int) -> grain.IterDataset:
    """Whole batches are dealt out to the workers in turn and collected in turn, so their number changes no order."""
    _let_grain_read_its_flags()
    # Through pipes: of shared memory, Grain's other way, pieces stay behind where a program ends early.
    options = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
    piped = grain.experimental.WithOptionsIterDataset(batches, options)
    return piped.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers, per_worker_buffer_size=2))


def _let_grain_read_its_flags() -> None:
    """Before a program has parsed its flags, as in a notebook, those of Grain's workers count as left at their default.

    Only Grain's: reading another flag too early is still an error.
    """
    if flags.FLAGS.is_parsed():
        return
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.split(".")[0] == "grain":
            for flag in defined:
                flag.present = max(flag.present, 1)


def _read_ahead(batches: grain.MapDataset) -> grain.IterDataset:
    return batches.to_iter_dataset(grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_READY))


def _closing(batches: grain.IterDataset) -> Generator[Batch, None, None]:
    """Iterates, and ends the threads and processes behind it when nobody asks for more."""
    iterator = iter(batches)
    try:
        yield from iterator
    except InputError as error:
        # Grain adds remarks of its own to the one line.
        raise InputError(str(error).splitlines()[0]) from error
    finally:
        iterator.close()
