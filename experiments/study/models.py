"""The study's models: trained ones, and those that are made of them."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from experiments.study.datasets import Parts
from spotrust_jax.config import TrainConfig
from spotrust_jax.fields import from_dict
from spotrust_jax.inference.segmenter import Segmenter, load
from spotrust_jax.training.loop import train
from spotrust_jax.training.post_hoc.fit import with_last_layer

TRAINED = ("ensemble", "variational", "dropout")


class Model(NamedTuple):
    """A variant, and the networks that had to be trained for it."""

    name: str
    segmenter: Segmenter
    networks: int


def train_all(
    parts: Parts, folder: Path, get_config: Callable[[str], ConfigDict], devices: Sequence[jax.Device], longer: int
) -> None:
    """Trains what is trained, `longer` times as many epochs as configured, or goes on with it."""
    for variant in TRAINED:
        config = get_config(variant)
        config.update_from_flattened_dict(parts.settings)
        config.epochs *= longer
        train(from_dict(TrainConfig, config.to_dict()), folder / variant, devices)


def models(folder: Path, parts: Parts) -> Iterator[Model]:
    """All variants; the deterministic network, and what is fitted to it, are the ensemble's first member."""
    ensemble, variational, dropout = (load(folder / name / "best") for name in TRAINED)
    first = ensemble.member(0)
    yield Model("deterministic", first, 1)
    yield Model("variational", variational, 1)
    kernel = dataclasses.replace(variational.config.model, estimator="kernel")
    config = dataclasses.replace(variational.config, model=kernel)
    yield Model("variational, kernel draws", dataclasses.replace(variational, config=config), 1)
    yield Model("dropout", dropout, 1)
    yield Model("ensemble", ensemble, ensemble.config.members)
    for kind, name, held_out in (
        ("laplace", "last-layer Laplace", parts.validation),
        ("logit_noise", "logit noise", None),
    ):
        yield Model(name, with_last_layer(first, kind, parts.train, held_out), 1)
