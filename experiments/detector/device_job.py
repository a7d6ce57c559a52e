"""The long run of the shipped detector and the cross-site trainings, within the minutes that an accelerator is lent.

python -m experiments.detector.device_job --data=runs/detector --teacher=teacher.npz --output=OUT --seconds=560

DATA holds what assemble.py and subsets.py wrote. Two backbones are pretrained, one of them on photographs of no site
alone, unless DATA has pretrained.npz and pretrained_others.npz, which --only_pretraining leaves in OUT. Then members of
the ensemble are trained, then for each site a network on all others, which is fine-tuned to 10, 25 and 50 photographs
of it and compared with one trained from scratch on all of that site's. OUT gets the averaged weights of the members
(half precision), the pixels of validation and test photographs counted by probability, and log.jsonl.
"""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from configs import inspection
from experiments.detector import measure, resident
from experiments.detector.folders import read_table
from experiments.detector.half_weights import load_half, save_half
from experiments.detector.sites import COUNTS, SITES, in_random_order
from spotrust_jax.checkpoints import load_model
from spotrust_jax.config import TrainConfig
from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.fields import from_dict
from spotrust_jax.models.segmenter import Variables, build_network, normalize, variable_shapes
from spotrust_jax.training.state import MemberState

_DATA = flags.DEFINE_string("data", None, "Folder with data, unlabelled and subsets.", required=True)
_TEACHER = flags.DEFINE_string("teacher", None, "Weights of the teacher.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for results.", required=True)
_SECONDS = flags.DEFINE_integer("seconds", 560, "In which everything is to be done.")
_MEMBERS = flags.DEFINE_integer("members", 3, "Of the ensemble.")
_STEPS = flags.DEFINE_integer("steps", 2500, "Most steps of a member.")
_PRETRAINING = flags.DEFINE_list("pretraining", [], "More arguments of spotrust pretrain, such as --config.steps=9.")
_ONLY_PRETRAINING = flags.DEFINE_bool("only_pretraining", False, "Stop with the backbones and the speed of a step.")
_SMALL = flags.DEFINE_bool("small", False, "A narrow network at 64 pixels, to test the program.")

# Shares of the time after pretraining: the ensemble's members, the networks without one site, and all that follows.
_ENSEMBLE, _CROSS_SITE = 0.5, 0.3
_FINE_TUNING_STEPS, _SCRATCH_STEPS, _FINE_TUNING_RATE = 100, 300, 0.3
_PARTS = ("backbone", "head", "aleatoric")
_EVALUATED = 8  # photographs at a time


class Log:
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
    config.validation_epochs = 1  # as this kind needs, though nothing is validated here
    config.schedule.warmup_epochs = 0.0
    if _SMALL.value:
        config.model.preset, config.model.width, config.model.dtype = "w18_small_v1", 4, "float32"
        config.data.image_size, config.augmentation.crop_size, config.batch_size = 64, (64, 64), 4
    return from_dict(TrainConfig, config.to_dict())


def read_rows(data: Path, names: tuple[str, ...]) -> Rows:
    """The table, by name."""
    rows = {row["name"]: row for row in read_table(data / "splits.csv")}
    return Rows(names, *(tuple(rows[name][column] for name in names) for column in ("split", "group", "site")))


def pretrain(name: str, paths: list[Path], config: TrainConfig, running: list[subprocess.Popen]) -> Path:
    """Runs `spotrust pretrain`, one of the `running` processes, and returns the folder of its checkpoint."""
    workdir = Path(_DATA.value) / name
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "launch.pretrain", f"--config=configs/pretrain.py:{config.model.preset}"),
            f"--config.data.path={','.join(map(str, paths))}",
            f"--config.data.mean={config.data.mean}",
            f"--config.data.std={config.data.std}",
            f"--config.teacher={_TEACHER.value}",
            f"--workdir={workdir}",
            *_PRETRAINING.value,
        ],
        env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdout=(Path(_OUTPUT.value) / f"{name}.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    running.append(process)
    if code := process.wait():
        raise RuntimeError(f"{name} ended with exit code {code}: see {name}.log")
    return workdir / "best"


def backbone(name: str, paths: list[Path], config: TrainConfig, running: list[subprocess.Popen]) -> Variables:
    """The weights that a backbone's pretraining left, or leaves now."""
    kept = Path(_DATA.value) / f"{name}.npz"
    if kept.exists():
        return load_half(kept)
    weights = jax.tree.map(lambda leaf: leaf[0], load_model(pretrain(name, paths, config, running))[0])
    save_half(
        {kind: {"backbone": parts["backbone"]} for kind, parts in weights.items()}, Path(_OUTPUT.value) / kept.name
    )
    return weights


class Evaluator:
    """Probabilities of networks on validation and test photographs, each in its own shape.

    Photographs of shapes that no test photograph has are left out: every shape is a program to compile.
    """

    def __init__(self, config: TrainConfig, pool: resident.Pool, rows: Rows):
        self._config, self._pool, self._rows = config, pool, rows
        self._extents, self._masks = np.asarray(pool.extents), np.asarray(pool.masks)
        tested = self._extents[rows.where(split="test")]
        self._shapes = {tuple(map(int, shape)) for shape in np.unique(tested, axis=0)}
        self._functions: dict[tuple[int, int], Callable] = {}

    def compile(self) -> None:
        """All programs, at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(self._shapes)) as threads:
            self._functions = dict(zip(self._shapes, threads.map(self._compiled, self._shapes), strict=True))

    def __call__(self, variables: Variables, site: str | None) -> measure.Measured:
        """The pixels counted of the photographs of one site, or of all."""
        examples = [i for i in range(len(self._rows.names)) if self._is_measured(i, site)]
        maps = self._maps(jax.device_put(variables), np.array(examples))
        counted = []
        for number in examples:
            height, width = maps[number].shape
            counted.append([*measure.counts(maps[number], self._masks[number, :height, :width]), 0.0])
        texts = (self._rows.names, self._rows.groups, self._rows.sites)
        columns = (tuple(column[i] for i in examples) for column in texts)
        return measure.Measured(*columns, *map(np.array, zip(*counted, strict=True)))

    def _is_measured(self, number: int, site: str | None) -> bool:
        row_site, known = self._rows.sites[number], tuple(self._extents[number].tolist()) in self._shapes
        return known and self._rows.splits[number] != "train" and row_site in SITES and site in (None, row_site)

    def _maps(self, variables: Variables, examples: np.ndarray) -> dict[int, np.ndarray]:
        found = {}
        for (height, width), program in self._functions.items():
            same = examples[(self._extents[examples] == (height, width)).all(axis=1)]
            for first in range(0, len(same), _EVALUATED):
                chosen = same[first : first + _EVALUATED]
                images = self._pool.images[np.resize(chosen, _EVALUATED), :height, :width]
                found.update(zip(chosen.tolist(), np.asarray(program(variables, images)), strict=False))
        return found

    def _compiled(self, shape: tuple[int, int]) -> Callable:
        network, config = build_network(self._config.model), self._config

        def probabilities(variables: Variables, images: jax.Array) -> jax.Array:
            normal = normalize(images / 255.0, config.data.mean, config.data.std)
            return jax.nn.sigmoid(network.apply(variables, normal, None, False)[0].astype(jnp.float32))

        images = jax.ShapeDtypeStruct((_EVALUATED, *shape, 3), jnp.uint8)
        return jax.jit(probabilities).lower(variable_shapes(config.model), images).compile()


class Job(NamedTuple):
    """What all trainings share; `seconds` is when the job is to be over."""

    config: TrainConfig
    pool: resident.Pool
    rows: Rows
    program: resident.Program
    evaluator: Evaluator
    states: list[MemberState]
    log: Log
    output: Path
    seconds: float

    def train(self, name: str, state: MemberState, examples: np.ndarray, **options) -> Variables:
        """Trains and writes it down."""
        began, sites = self.log.seconds, tuple(self.rows.sites[i] for i in examples)
        trained = resident.train(self.program, state, self.pool, examples, sites, self.config, **options)
        losses = trained.losses[:: max(1, len(trained.losses) // 8)]
        self.log(run=name, steps=options["steps"], losses=losses, took=self.log.seconds - began)
        return trained.variables

    def score(self, name: str, variables: Variables, site: str | None = None) -> None:
        """Measures the validation and test photographs of a site, or of all."""
        measure.save(self.evaluator(variables, site), self.output / "measured" / f"{name}.npz")

    def has(self, seconds: float) -> bool:
        """Whether so much time is left."""
        return self.log.seconds + seconds < self.seconds


def train_members(job: Job, backbone: Variables, steps: int) -> None:
    """The ensemble, on all sites."""
    training = job.rows.where(split="train")
    for member in range(_MEMBERS.value):
        state = resident.with_weights(job.states[member], backbone, ("backbone",))
        trained = job.train(f"member_{member}", state, training, steps=steps, seed=member, rate=1.0)
        save_half(trained, job.output / f"member_{member}.npz")
        job.score(f"member_{member}", trained)


def train_across_sites(job: Job, backbone: Variables, steps: int, seconds_per_step: float) -> None:
    """For each site a network without it, fine-tuned to a few photographs of it, and one from all of it alone."""
    training = job.rows.where(split="train")
    for number, site in enumerate(SITES):
        fresh = job.states[_MEMBERS.value + number]
        elsewhere = np.array([i for i in training if job.rows.sites[i] != site])
        state = resident.with_weights(fresh, backbone, ("backbone",))
        trained = job.train(f"without_{site}", state, elsewhere, steps=steps, seed=10 + number, rate=1.0)
        job.score(f"without_{site}", trained, site)
        here = [{"name": i, "group": job.rows.groups[i]} for i in training if job.rows.sites[i] == site]
        here = np.array([row["name"] for row in in_random_order(here)])
        state = resident.with_weights(fresh, trained, _PARTS)
        runs = [(f"{site}_{count}", state, here[:count], _FINE_TUNING_STEPS, _FINE_TUNING_RATE) for count in COUNTS]
        for name, start, examples, steps_here, rate in [*runs, (f"{site}_scratch", fresh, here, _SCRATCH_STEPS, 1.0)]:
            if job.has(1.2 * steps_here * seconds_per_step + 3):
                job.score(name, job.train(name, start, examples, steps=steps_here, seed=20, rate=rate), site)
            else:
                job.log(left_out=name)


def main(_: list[str]) -> None:
    """Everything, most important first; what there is no time for is left out and said."""
    data, output = Path(_DATA.value), Path(_OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    log, config = Log(output / "log.jsonl"), configuration()
    log(jax=jax.__version__, device=jax.devices()[0].device_kind, preset=config.model.preset)
    running: list[subprocess.Popen] = []
    with concurrent.futures.ThreadPoolExecutor(5) as threads, _ending(running):
        folders = {"pretrained": "data", "pretrained_others": "subsets/others"}
        full, others = (
            threads.submit(backbone, name, [data / folder, data / "unlabelled"], config, running)
            for name, folder in folders.items()
        )
        dataset = FolderDataset(data / "data", "all")
        pool, rows = resident.load_pool(dataset, config), read_rows(data / "data", dataset.names)
        log(photographs=len(rows.names))
        drawn = threads.submit(resident.random_states, config, _MEMBERS.value + len(SITES))
        evaluator = Evaluator(config, pool, rows)
        compiled = threads.submit(evaluator.compile)
        program = resident.compile_program(config, pool)
        log(compiled="training")
        states, _ = drawn.result(), compiled.result()
        log(compiled="evaluation")
        weights = full.result()
        log(pretrained="all")
        chunk = resident.seconds_per_chunk(program, states[0], pool, config)
        log(seconds_per_step=chunk / resident.CHUNK, images_per_second=resident.CHUNK * config.batch_size / chunk)
        if _ONLY_PRETRAINING.value:
            others.result()
            return
        job = Job(config, pool, rows, program, evaluator, states, log, output, _SECONDS.value)
        left = _SECONDS.value - log.seconds
        train_members(job, weights, resident.steps_within(_ENSEMBLE * left / _MEMBERS.value, chunk, _STEPS.value))
        steps = resident.steps_within(_CROSS_SITE * left / len(SITES), chunk, _STEPS.value)
        train_across_sites(job, others.result(), steps, chunk / resident.CHUNK)
    log(done=True)


@contextlib.contextmanager
def _ending(running: list[subprocess.Popen]) -> Iterator[None]:
    """Ends processes with the block, which would else wait for them after an error."""
    try:
        yield
    finally:
        for process in running:
            process.kill()


if __name__ == "__main__":
    app.run(main)
