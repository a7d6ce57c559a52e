"""Which photographs a run's model has seen: those that it learns from, and those that choose among its epochs."""

import functools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from spotrust_jax.checkpoints import CONFIG_NAME, read_config
from spotrust_jax.config import TrainConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.seen import SeenPhotographs, seen_photographs
from spotrust_jax.training.input_pipeline import MemberData


class Seen(NamedTuple):
    """Photographs that train a run's members, and photographs that validate any of them."""

    trained_on: SeenPhotographs = SeenPhotographs()
    selected_on: SeenPhotographs = SeenPhotographs()


def seen_by_run(best: Path, config: TrainConfig, data: Sequence[MemberData]) -> Seen:
    """The photographs of all members, and those that the model had seen from which they start.

    A run that goes on reads photographs only where there are others than `best`, its model so far, has on record. Only
    the first process, which writes the model's configuration, reads them at all. Synthetic scenes are no photographs.

    Raises:
        InputError: where `best` has a damaged configuration, or the checkpoint to start from cannot be read.
    """
    if jax.process_index() > 0:
        return Seen()
    goes_on = (best / CONFIG_NAME).exists()
    before = _of_checkpoint(best if goes_on else config.fine_tuning.checkpoint)
    if config.data.source == "scenes":
        return before
    splits = [_distinct(split) for split in zip(*data, strict=True)]
    if goes_on and all(_covers(record, split) for record, split in zip(before, splits, strict=True)):
        return before
    found = (functools.reduce(operator.or_, map(seen_photographs, split)) for split in splits)
    return Seen(*(record | photographs for record, photographs in zip(before, found, strict=True)))


def _of_checkpoint(checkpoint: str | Path) -> Seen:
    """What a model has on record, nothing for the name of none."""
    if not checkpoint:
        return Seen()
    config = read_config(checkpoint)
    return Seen(config.trained_on, config.selected_on)


def _distinct(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Members mostly share theirs."""
    return list({id(dataset): dataset for dataset in datasets}.values())


def _covers(record: SeenPhotographs, datasets: Sequence[Dataset]) -> bool:
    return set(record.names).issuperset(name for dataset in datasets for name in dataset.names)
