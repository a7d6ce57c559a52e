"""Steps and saved states of runs, as arrays [members, ...] on the host, and functions that runs share."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from spotrust_jax.config import RunConfig
from spotrust_jax.parallel import DeviceGrid, over_members
from spotrust_jax.training.checkpointing import RunCheckpoints
from spotrust_jax.training.compiled import compile_functions
from spotrust_jax.training.input_pipeline import epoch_images
from spotrust_jax.training.run_directory import read_run_config
from spotrust_jax.training.step import DeviceBatch, train_step


def whole_batch(images, masks, ignored=None):
    """Photographs that fill their arrays; nothing is ignored unless said."""
    count = len(images)
    ignored = np.zeros(masks.shape, bool) if ignored is None else ignored
    extents = np.tile(np.array(masks.shape[1:], np.int32), (count, 1))
    return DeviceBatch(images, masks, ignored, extents, np.ones(count, bool), np.arange(count, dtype=np.int32))


@functools.cache
def _compiled_step(config, devices, images):
    """For modules that use the small network all along."""
    grid = DeviceGrid(config.members, tuple(jax.devices()[:devices]))
    return grid, over_members(train_step(config, grid.placement, images), grid)


def compiled_once() -> Callable:
    """In place of `compile_functions`: what it gave before, where the configuration is the same but for what is saved.

    That compiling again gives the same is tested by runs in processes of their own.
    """
    compiled = {}

    def call(config, grid, data):
        key = dataclasses.replace(config, run=RunConfig()), grid, epoch_images(data)
        if key not in compiled:
            compiled[key] = compile_functions(config, grid, data)
        return compiled[key]

    return call


def run_steps(config, devices, state, batches, images):
    """States at the start and after each step, and losses [steps, members]; `batches` are {member: batch} a step."""
    grid, step = _compiled_step(config, devices, images)
    states, losses = [grid.spread(state)], []
    for of_members in batches:
        state, loss = step(states[-1], grid.split(of_members))
        states.append(state)
        losses.append(grid.gather(loss))
    return [grid.gather(state) for state in states], losses


def assert_same_weights(found, expected):
    """Of two states that were reached in different ways, to rounding."""
    for collection, rtol in (("params", 0), ("batch_stats", 1e-4)):
        leaves = (jax.tree.leaves(state.variables[collection]) for state in (found, expected))
        for one, other in zip(*leaves, strict=True):
            np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-5)


def latest(config, run_directory):
    """Position and state that a run would go on from."""
    grid, known = DeviceGrid(config.members, tuple(jax.devices()[:1])), read_run_config(run_directory)["data"]
    data = dataclasses.replace(config.data, mean=tuple(known["mean"]), std=tuple(known["std"]))
    states = RunCheckpoints(run_directory, dataclasses.replace(config, data=data), grid)
    position, state = states.restore()
    states.close()
    return position, grid.gather(state)
