"""Examples to batches: shuffled for ever by seed for training, in order and padded for validation.

Training batch k is a function of seed and k alone, so a run goes on from any step with the batches it would have had.
"""

from collections.abc import Iterator
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.example import Dataset, Example
from spotrust_jax.data.images import resize_image, resize_mask


class Batch(NamedTuple):
    """Examples of one size; where `valid` is false an example only fills up the batch."""

    images: UInt8[np.ndarray, "batch height width 3"]
    masks: Bool[np.ndarray, "batch height width"]
    valid: Bool[np.ndarray, "batch"]


def training_batches(
    dataset: Dataset, *, seed: int, batch_size: int, size: tuple[int, int], first: int = 0
) -> Iterator[Batch]:
    """Endless batches from number `first` on: every epoch in an order of its own, batches running over its end."""
    examples = grain.MapDataset.source(dataset).seed(seed).shuffle().repeat()
    sized = examples.map(lambda example: _sized(example, size))
    batches = sized.batch(batch_size, batch_fn=_stack)[first:]
    options = grain.ReadOptions(num_threads=4, prefetch_buffer_size=8)
    return iter(batches.to_iter_dataset(options))


def validation_batches(dataset: Dataset, *, batch_size: int, size: tuple[int, int]) -> Iterator[Batch]:
    """Every example once, in order; the last batch is filled up with copies that are not `valid`."""
    for start in range(0, len(dataset), batch_size):
        indices = range(start, min(start + batch_size, len(dataset)))
        examples = [_sized(dataset[index], size) for index in indices]
        filling = [examples[0]] * (batch_size - len(examples))
        batch = _stack(examples + filling)
        yield batch._replace(valid=np.arange(batch_size) < len(examples))


def _sized(example: Example, size: tuple[int, int]) -> Example:
    return example._replace(image=resize_image(example.image, *size), mask=resize_mask(example.mask, *size))


def _stack(examples: list[Example]) -> Batch:
    images = np.stack([example.image for example in examples])
    masks = np.stack([example.mask for example in examples])
    return Batch(images, masks, np.ones(len(examples), bool))
