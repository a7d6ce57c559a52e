"""A run directory: it belongs to one configuration, which is written down in it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import DataConfig, TrainConfig
from spotrust_jax.data.datasets import training_statistics
from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError
from spotrust_jax.fields import to_dict
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.training.checks import check_start

CONFIG_NAME = "config.json"


def claim(run_directory: Path, config: TrainConfig, training: Dataset) -> TrainConfig:
    """Writes the configuration down, or makes sure that the one already there differs in nothing that changes weights.

    The result has channel statistics: if none are given, those of the run that is resumed, of the checkpoint that
    training starts from, or of `training`.

    Raises:
        InputError: where the directory belongs to another configuration, or cannot be written.
    """
    earlier = _read(run_directory / CONFIG_NAME)
    # A run that goes on needs its start no more.
    start = None if earlier else check_start(config)
    config = dataclasses.replace(config, data=_with_statistics(config.data, earlier.get("data"), start, training))
    write_down(run_directory, config, _changeable(config))
    return config


def write_down(run_directory: Path, config: Any, changeable: tuple[str, ...] = ()) -> None:
    """Writes a configuration into the directory, or makes sure that the one there differs in `changeable` alone.

    Raises:
        InputError: where the directory belongs to another configuration, or cannot be written.
    """
    path = run_directory / CONFIG_NAME
    values = json.loads(json.dumps(to_dict(config)))
    if earlier := _read(path):
        _check_same(run_directory, earlier, values, changeable)
    _write(path, values)


def read_run_config(run_directory: Path) -> dict[str, Any]:
    """The configuration of the run in its directory.

    Raises:
        InputError: where there is none.
    """
    values = _read(run_directory / CONFIG_NAME)
    if not values:
        raise InputError(f"{run_directory} is not a run directory: it has no {CONFIG_NAME}")
    return values


def differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Dotted names of the fields that differ, each with both values; None where one lacks the field."""
    found = []
    for name in sorted(a.keys() | b.keys()):
        one, other = a.get(name), b.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += differences(one, other, f"{prefix}{name}.")
        elif one != other:
            found.append((f"{prefix}{name}", one, other))
    return found


def _changeable(config: TrainConfig) -> tuple[str, ...]:
    """Fields, and sections, that a resumed run may change, because no weights depend on them."""
    # A cosine has its length from the number of epochs, from the first step on.
    return ("data.num_workers", "run") if config.schedule.kind == "cosine" else ("data.num_workers", "run", "epochs")


def _check_same(run_directory: Path, earlier: dict, values: dict, changeable: tuple[str, ...]) -> None:
    rows = differences(earlier, values)
    changed = [row for row in rows if row[0] not in changeable and row[0].partition(".")[0] not in changeable]
    if changed:
        shown = ", ".join(f"{name} {json.dumps(there)} there, {json.dumps(here)} here" for name, there, here in changed)
        raise InputError(
            f"{run_directory} belongs to a run with another configuration ({shown}): "
            f"give a new directory, such as --workdir={_free(run_directory)}, or the same configuration to resume"
        )


def _free(run_directory: Path) -> Path:
    """A directory beside this one that does not exist."""
    number = 2
    while (free := run_directory.with_name(f"{run_directory.name}-{number}")).exists():
        number += 1
    return free


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): remove the directory, or give another --workdir") from error


def _write(path: Path, values: dict) -> None:
    if jax.process_count() > 1:
        # All have read what was there before the first one writes.
        multihost_utils.sync_global_devices("spotrust_jax: configuration read")
    if jax.process_index() > 0:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(values, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{path.parent} cannot be written ({error.strerror}): give another --workdir") from error


def _with_statistics(
    data: DataConfig, earlier: dict | None, start: CheckpointConfig | None, training: Dataset
) -> DataConfig:
    if data.mean and data.std:
        return data
    if earlier:
        mean, std = tuple(earlier["mean"]), tuple(earlier["std"])
    elif start:
        # Weights go on from the inputs that they know.
        mean, std = start.mean, start.std
    else:
        # Folds of members share those of the first member's.
        fold = 0 if data.fold_of_member else data.fold
        mean, std = training_statistics(dataclasses.replace(data, fold=fold), training)
    return dataclasses.replace(data, mean=data.mean or mean, std=data.std or std)
