"""What stochastic passes cost, against one forward pass of the network as one would write it.

Networks here have the same number everywhere, on which no time depends.
"""

import dataclasses
import functools
import multiprocessing
import resource
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.measurement import Measurement, summary, timed
from experiments.benchmarks.plain_network import PlainNetwork
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.segmenter import variable_shapes

# The network of the paper at the size of its photographs, and its passes.
_PRESET, _SIZE, _PASSES = "w48", 512, 24
# All kinds in turn, so that a busy machine slows all of them.
_REPEATS = 7
# Of the tables of growth: what is varied, one at a time, from the first of each.
_PRESETS, _SIZES, _BATCHES, _COUNTS = ("w18_small_v1", "w18", "w48"), (256, 512, 1024), (1, 4), (24, 1, 8, 64)
# Passes whose peak of memory is compared.
_FEW, _MANY = 8, 256

# Names in the tables, and networks.
_ESTIMATORS = (
    ("variational", ModelConfig("variational")),
    ("dropout", ModelConfig("dropout")),
    ("variational, kernel draws", ModelConfig("variational", estimator="kernel")),
)


def passes() -> list[Measurement]:
    """Time of predict with 1 and 24 passes, as ratios to a plain deterministic forward pass P in the same run."""
    image = _images(1, _SIZE)
    plain = _plain_pass(_PRESET, image)
    runs = {
        (name, count): _run(_segmenter(dataclasses.replace(config, preset=_PRESET)), image, count)
        for name, config in _ESTIMATORS
        for count in (1, _PASSES)
    }
    ensemble = _run(_segmenter(ModelConfig("deterministic", _PRESET), members=3), image, 1)
    seconds = np.array([[timed(run)[0] for run in (plain, ensemble, *runs.values())] for _ in range(_REPEATS)])
    ratios = seconds / seconds[:, :1]
    by_run = dict(zip(runs, ratios[:, 2:].T, strict=True))
    label = f"{_PRESET}, {_SIZE} x {_SIZE}"
    rows = [
        summary(f"P, a plain forward pass, {label}", seconds[:, 0], "s"),
        summary("ensemble of three, one device", ratios[:, 1], "P"),
    ]
    for name, _ in _ESTIMATORS:
        first, all_passes = by_run[name, 1], by_run[name, _PASSES]
        rows += [
            summary(f"{name}, 1 pass", first, "P"),
            summary(f"{name}, one more pass", 100 * (all_passes - first) / (_PASSES - 1), "% of P"),
            summary(f"{name}, {_PASSES} plain passes over {_PASSES} passes", _PASSES / all_passes, "times"),
        ]
    return rows


def growth() -> list[Measurement]:
    """Seconds for one image and their growth with preset, size, batch and number of passes, variational network."""
    start = (_PRESETS[0], _SIZES[0], _BATCHES[0], _COUNTS[0])
    settings = [start]
    for place, values in enumerate((_PRESETS, _SIZES, _BATCHES, _COUNTS)):
        settings += [(*start[:place], value, *start[place + 1 :]) for value in values[1:]]
    return [_time_of(*setting) for setting in settings]


def pass_memory() -> list[Measurement]:
    """Resident memory at its peak, in processes of their own, with many passes and with few."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, maxtasksperchild=1) as pool:
        few, many = (pool.apply(_peak, (_PRESET, _SIZE, count)) for count in (_FEW, _MANY))
    name = f"peak memory, {_PRESET}, {_SIZE} x {_SIZE}"
    return [
        summary(f"{name}, {_FEW} passes", np.array([few]), "GiB"),
        summary(f"{name}, {_MANY} passes over {_FEW}", np.array([many / few]), "times"),
    ]


def _time_of(preset: str, size: int, batch: int, count: int) -> Measurement:
    run = _run(_segmenter(ModelConfig("variational", preset)), _images(batch, size), count)
    seconds = np.array([timed(run)[0] for _ in range(_REPEATS)])
    return summary(f"{preset}, {size} x {size}, batch {batch}, {count} passes", seconds / batch, "s/image")


def _peak(preset: str, size: int, count: int) -> float:
    _run(_segmenter(ModelConfig("variational", preset)), _images(1, size), count)()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _run(segmenter: Segmenter, images: np.ndarray, count: int) -> Callable[[], object]:
    """A call of `predict`, compiled."""
    run = functools.partial(segmenter.predict, images, key=jax.random.key(0), num_samples=count)
    run()
    return run


def _plain_pass(preset: str, images: np.ndarray) -> Callable[[], object]:
    """Upsampled, concatenated, 1x1 convolution of all channels, batch norm where the network has it."""
    network = PlainNetwork(architecture(preset), train=False)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01), shapes)
    apply, inputs = jax.jit(network.apply), jnp.asarray(images / np.float32(255))
    run = lambda: jax.block_until_ready(apply(variables, inputs))  # noqa: E731
    run()
    return run


def _segmenter(model: ModelConfig, members: int = 1) -> Segmenter:
    variables = jax.tree.map(lambda leaf: np.full((members, *leaf.shape), 0.01, np.float32), variable_shapes(model))
    return Segmenter(variables, CheckpointConfig(model, members, (0.5,) * 3, (0.2,) * 3, _SIZE))


def _images(batch: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
