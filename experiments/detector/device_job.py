"""The long run of the shipped detector and the cross-site trainings, within the minutes that an accelerator is lent.

python -m experiments.detector.device_job --data=runs/detector --teacher=teacher.npz --output=OUT --seconds=560

DATA holds what assemble.py and subsets.py wrote. Two backbones are pretrained, one of them on photographs of no site
alone; then members of the ensemble are trained, then for each site a network on all others, which is fine-tuned to
10, 25 and 50 photographs of it and compared with one trained from scratch on all of that site's. OUT gets the
averaged weights of the members (half precision), the pixels of validation and test photographs counted by
probability, and journal.jsonl.
"""

import concurrent.futures
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from spotrust_jax.configs import inspection

from experiments.detector import measure, resident
from experiments.detector.subsets import COUNTS, SITES, in_random_order
from spotrust_jax.checkpoints import load_model
from spotrust_jax.config import TrainConfig, from_dict
from spotrust_jax.data.folder import FolderDataset
from spotrust_jax.models.segmenter import Variables, build_network, normalize
from spotrust_jax.training.state import MemberState

_DATA = flags.DEFINE_string("data", None, "Folder with data, unlabelled and subsets.", required=True)
_TEACHER = flags.DEFINE_string("teacher", None, "Weights of the teacher.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for results.", required=True)
_SECONDS = flags.DEFINE_integer("seconds", 560, "In which everything is to be done.")
_MEMBERS = flags.DEFINE_integer("members", 3, "Of the ensemble.")
_STEPS = flags.DEFINE_integer("steps", 2500, "Most steps of a member.")
_PRETRAINING = flags.DEFINE_list("pretraining", [], "More arguments of spotrust pretrain, such as --config.steps=9.")
_SMALL = flags.DEFINE_bool("small", False, "A narrow network at 64 pixels, to test the program.")

# Shares of the time after pretraining: the ensemble's members, the networks without one site, and all that follows.
_ENSEMBLE, _CROSS_SITE = 0.5, 0.3
_FINE_TUNING_STEPS, _SCRATCH_STEPS, _FINE_TUNING_RATE = 200, 400, 0.3
_PARTS = ("backbone", "head", "aleatoric")
_EVALUATED = 8  # photographs at a time


class Journal:
    """What happened when, a line each."""

    def __init__(self, path: Path):
        self._file, self._began = path.open("a"), time.monotonic()

    def __call__(self, **record: object) -> None:
        """Writes a line, with the seconds since the start."""
        line = json.dumps({"seconds": round(self.seconds, 1), **record})
        print(line, flush=True)
        self._file.write(line + "\n")
        self._file.flush()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began


class Rows(NamedTuple):
    """Of splits.csv, in the order of the pool."""

    names: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    sites: tuple[str, ...]

    def where(self, **wanted: str) -> np.ndarray:
        """Numbers of the rows whose columns have these values."""
        return np.flatnonzero(np.all([np.asarray(getattr(self, f"{k}s")) == v for k, v in wanted.items()], axis=0))


def configuration() -> TrainConfig:
    """That of configs/inspection.py for one member, its rate given from outside."""
    config = inspection.get_config()
    config.members = 1
    config.schedule.kind = "plateau"
    config.schedule.warmup_epochs = 0.0
    if _SMALL.value:
        config.model.preset, config.model.width, config.model.dtype = "w18_small_v1", 4, "float32"
        config.data.image_size, config.augmentation.crop_size, config.batch_size = 64, (64, 64), 4
    return from_dict(TrainConfig, config.to_dict())


def read_rows(data: Path, names: tuple[str, ...]) -> Rows:
    """The table, by name."""
    with (data / "splits.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    return Rows(names, *(tuple(rows[name][column] for name in names) for column in ("split", "group", "site")))


def pretrain(name: str, paths: list[Path], preset: str) -> Path:
    """Runs `spotrust pretrain` and returns the folder of its checkpoint."""
    workdir = Path(_DATA.value) / name
    subprocess.run(
        [
            *(sys.executable, "-m", "launch.pretrain", f"--config=configs/pretrain.py:{preset}"),
            f"--config.data.paths={tuple(map(str, paths))}",
            f"--config.teacher={_TEACHER.value}",
            f"--workdir={workdir}",
            *_PRETRAINING.value,
        ],
        check=True,
        env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdout=(Path(_OUTPUT.value) / f"{name}.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    return workdir / "best"


class Evaluator:
    """Probabilities of networks on the photographs of the pool, each in its own shape."""

    def __init__(self, config: TrainConfig, pool: resident.Pool, rows: Rows):
        self._pool, self._rows, self._extents = pool, rows, np.asarray(pool.extents)
        network = build_network(config.model)

        def probabilities(variables: Variables, images: jax.Array) -> jax.Array:
            normal = normalize(images / 255.0, config.data.mean, config.data.deviation)
            return jax.nn.sigmoid(network.apply(variables, normal, None, False)[0].astype(jnp.float32))

        self._probabilities = jax.jit(probabilities)

    def __call__(self, variables: Variables, examples: np.ndarray) -> measure.Measured:
        """The pixels of these photographs counted."""
        variables, found = jax.device_put(variables), {}
        for shape in np.unique(self._extents[examples], axis=0):
            height, width = map(int, shape)
            same = examples[(self._extents[examples] == shape).all(axis=1)]
            for first in range(0, len(same), _EVALUATED):
                chosen = same[first : first + _EVALUATED]
                filled = np.resize(chosen, _EVALUATED)
                maps = np.asarray(self._probabilities(variables, self._pool.images[filled, :height, :width]))
                for number, one in zip(chosen, maps, strict=False):
                    found[number] = one
        masks = np.asarray(self._pool.masks[examples])
        counted = []
        for number, mask in zip(examples, masks, strict=True):
            height, width = found[number].shape
            counted.append([*measure.counts(found[number], mask[:height, :width]), 0.0])
        background, corrosion, epistemic = map(np.array, zip(*counted, strict=True))
        columns = (
            tuple(np.asarray(c)[examples].tolist()) for c in (self._rows.names, self._rows.groups, self._rows.sites)
        )
        return measure.Measured(*columns, background, corrosion, epistemic)


def main(_: list[str]) -> None:
    """Everything, most important first; what there is no time for is left out and said."""
    data, output = Path(_DATA.value), Path(_OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    journal, config = Journal(output / "journal.jsonl"), configuration()
    journal(jax=jax.__version__, device=jax.devices()[0].device_kind, preset=config.model.preset)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        backbones = threads.submit(
            lambda: [
                pretrain("pretrained", [data / "data", data / "unlabelled"], config.model.preset),
                pretrain("pretrained_others", [data / "subsets/others", data / "unlabelled"], config.model.preset),
            ]
        )
        pool, rows, config = _read(data / "data", config)
        journal(photographs=len(rows.names))
        drawn = threads.submit(resident.random_states, config, _MEMBERS.value + len(SITES))
        program = resident.compile_program(config, pool)
        journal(compiled="training")
        first_states = drawn.result()
        full, others = (jax.tree.map(lambda leaf: leaf[0], load_model(folder)[0]) for folder in backbones.result())
        journal(pretrained=True)
    evaluator = Evaluator(config, pool, rows)
    chunk = resident.seconds_per_chunk(program, first_states[0], pool, config)
    left = _SECONDS.value - journal.seconds
    journal(seconds_per_step=chunk / resident.CHUNK, images_per_second=resident.CHUNK * config.batch_size / chunk)

    def run(name: str, state: MemberState, examples: np.ndarray, **options) -> Variables:
        began, sites = journal.seconds, tuple(rows.sites[i] for i in examples)
        trained = resident.train(program, state, pool, examples, sites, config, **options)
        losses = trained.losses[:: max(1, len(trained.losses) // 8)]
        journal(run=name, steps=options["steps"], losses=losses, took=journal.seconds - began)
        return trained.variables

    def score(name: str, variables: Variables, site: str | None) -> None:
        chosen = [
            i
            for i, (split, s) in enumerate(zip(rows.splits, rows.sites, strict=True))
            if split in ("validation", "test") and (site is None or s == site) and s in SITES
        ]
        measure.save(evaluator(variables, np.array(chosen)), output / "measured" / f"{name}.npz")

    training = rows.where(split="train")
    steps = resident.steps_within(_ENSEMBLE * left / _MEMBERS.value, chunk, _STEPS.value)
    for member in range(_MEMBERS.value):
        trained = run(
            f"member_{member}",
            resident.with_weights(first_states[member], full, ("backbone",)),
            training,
            steps=steps,
            seed=member,
            rate=1.0,
        )
        save_half(trained, output / f"member_{member}.npz")
        score(f"member_{member}", trained, None)
        journal(scored=f"member_{member}")

    steps = resident.steps_within(_CROSS_SITE * left / len(SITES), chunk, _STEPS.value)
    for number, site in enumerate(SITES):
        elsewhere = np.array([i for i in training if rows.sites[i] != site])
        fresh = first_states[_MEMBERS.value + number]
        begun = resident.with_weights(fresh, others, ("backbone",))
        trained = run(f"without_{site}", begun, elsewhere, steps=steps, seed=10 + number, rate=1.0)
        score(f"without_{site}", trained, site)
        here = [{"name": i, "group": rows.groups[i]} for i in training if rows.sites[i] == site]
        here = np.array([row["name"] for row in in_random_order(here)])
        for count in COUNTS:
            if journal.seconds > _SECONDS.value - 15:
                journal(left_out=f"{site}_{count}")
                continue
            name, few = f"{site}_{count}", here[:count]
            begun = resident.with_weights(fresh, trained, _PARTS)
            tuned = run(name, begun, few, steps=_FINE_TUNING_STEPS, seed=20, rate=_FINE_TUNING_RATE)
            score(name, tuned, site)
        if journal.seconds < _SECONDS.value - 25:
            scratch = run(f"{site}_scratch", fresh, here, steps=_SCRATCH_STEPS, seed=30, rate=1.0)
            score(f"{site}_scratch", scratch, site)
        journal(site=site)
    journal(done=True)


def _read(data: Path, config: TrainConfig) -> tuple[resident.Pool, Rows, TrainConfig]:
    dataset = FolderDataset(data, "all")
    pool = resident.load_pool(dataset, config)
    return pool, read_rows(data, dataset.names), config


def save_half(variables: Variables, path: Path) -> None:
    """As float16, by dotted names."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    np.savez(path, **{"/".join(k.key for k in keys): np.asarray(leaf, np.float16) for keys, leaf in leaves})


if __name__ == "__main__":
    app.run(main)
