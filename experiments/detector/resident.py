"""Training with all photographs in the device's memory, many steps in one program: for accelerators lent for minutes.

The step is `spotrust_jax.training.step.train_step`; what differs from `spotrust train` is that batches are gathered on
the device, that the learning rate comes in as an argument, so that runs of any length share one compiled program, and
that nothing is validated on the way.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int32, UInt8

from spotrust_jax.config import TrainConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.example_order import training_order
from spotrust_jax.data.resized import ResizedDataset
from spotrust_jax.data.sizes import largest_shape, training_shape
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.parallel import Placement
from spotrust_jax.training.state import MemberState, initial_state, state_shapes
from spotrust_jax.training.step import DeviceBatch, train_step

# Steps of one call of the compiled program.
CHUNK = 25

# Share of a run's steps in which its learning rate rises.
_WARMUP = 0.05


class Pool(NamedTuple):
    """All examples of a data set on the device, in the upper left corners of squares of the trained scale."""

    images: UInt8[Array, "example side side 3"]
    masks: Bool[Array, "example side side"]
    extents: Int32[Array, "example 2"]


def load_pool(dataset: Dataset, config: TrainConfig) -> Pool:
    """Reads, resizes as training does, and moves to the device."""
    shape_of = functools.partial(training_shape, scale=config.data.image_size)
    resized = ResizedDataset(dataset, shape_of, kept_bytes=2**34)
    side, count = largest_shape(config.data.image_size), len(resized)
    images, masks = np.zeros((count, *side, 3), np.uint8), np.zeros((count, *side), bool)
    extents = np.array(resized.shapes, np.int32)
    for index, (height, width) in enumerate(extents):
        example = resized[index]
        images[index, :height, :width], masks[index, :height, :width] = example.image, example.mask
    return Pool(*map(jnp.asarray, (images, masks, extents)))


Program = Callable[
    [MemberState, Pool, Int[Array, "step batch"], Float32[Array, "step"]], tuple[MemberState, Float32[Array, "step"]]
]


def compile_program(config: TrainConfig, pool: Pool) -> Program:
    """`CHUNK` steps of one member with these examples at these multiples of the learning rate: state and losses."""
    # The plateau's scale is part of the state, so it can be set from outside.
    assert config.schedule.kind == "plateau" and config.members == 1, "the rate must come from the state"
    step = train_step(config, Placement(1, 1), training_images=len(pool.images))

    def one(pool: Pool, state: MemberState, inputs: tuple[Array, Array]) -> tuple[MemberState, Array]:
        examples, rate = inputs
        reduction = state.schedule.reduction._replace(scale=rate)
        state = state._replace(schedule=state.schedule._replace(reduction=reduction))
        masks = pool.masks[examples]
        count = len(examples)
        batch = DeviceBatch(
            pool.images[examples],
            masks,
            jnp.zeros_like(masks),
            pool.extents[examples],
            jnp.ones(count, bool),
            jnp.arange(count, dtype=jnp.int32),
        )
        return step(state, batch)

    def chunk(state: MemberState, pool: Pool, examples: Array, rates: Array) -> tuple[MemberState, Array]:
        return jax.lax.scan(functools.partial(one, pool), state, (examples, rates))

    examples = jax.ShapeDtypeStruct((CHUNK, config.batch_size), jnp.int32)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state_shapes(config))
    rates = jax.ShapeDtypeStruct((CHUNK,), jnp.float32)
    return jax.jit(chunk, donate_argnums=0).lower(state, pool, examples, rates).compile()


def random_states(config: TrainConfig, count: int) -> list[MemberState]:
    """First states with random weights, drawn on the host by one program that is compiled for it."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        drawn = jax.device_get(initial_state(dataclasses.replace(config, members=count)))
    return [jax.tree.map(lambda leaf, number=number: leaf[number], drawn) for number in range(count)]


def with_weights(state: MemberState, weights: Variables, parts: Sequence[str]) -> MemberState:
    """The state with these `parts` of `weights`."""
    variables = {
        collection: {name: weights[collection][name] if name in parts else part for name, part in own.items()}
        for collection, own in state.variables.items()
    }
    return state._replace(variables=variables, average=variables, best=variables)


class Trained(NamedTuple):
    """What a run ends with.

    Attributes:
        variables: the moving average.
        losses: mean of each chunk of steps.
    """

    variables: Variables
    losses: list[float]


def train(
    program: Program,
    state: MemberState,
    pool: Pool,
    examples: Int[np.ndarray, "examples"],
    sites: Sequence[str],
    config: TrainConfig,
    *,
    steps: int,
    seed: int,
    rate: float,
) -> Trained:
    """Averaged weights after warm-up and half a cosine over `steps`, a multiple of `CHUNK`; sites are balanced."""
    order = training_order(sites, seed, config.data.site_power)
    state, means = _on_device(state), []
    for first in range(0, steps, CHUNK):
        places = np.array([order[i] for i in range(first * config.batch_size, (first + CHUNK) * config.batch_size)])
        rates = rate * learning_rates(np.arange(first, first + CHUNK), steps)
        state, losses = program(state, pool, examples[places].reshape(CHUNK, -1).astype(np.int32), rates)
        means.append(losses.mean())
    return Trained(jax.device_get(state.average), [float(mean) for mean in means])


def _on_device(state: MemberState) -> MemberState:
    """With leaves of their own: no memory may be given up twice."""
    return jax.device_put(jax.tree.map(np.array, state))


def learning_rates(steps: Int[np.ndarray, "steps"], total: int) -> Float32[np.ndarray, "steps"]:
    """Multiples of the initial rate: up in a straight line, down in half a cosine."""
    warmup = max(1, round(_WARMUP * total))
    falling = 0.5 * (1 + np.cos(np.pi * np.clip((steps - warmup) / (total - warmup), 0, 1)))
    return np.where(steps < warmup, (steps + 1) / (warmup + 1), falling).astype(np.float32)


def steps_within(seconds: float, seconds_per_chunk: float, most: int) -> int:
    """Steps, a multiple of `CHUNK`, that take no longer than this."""
    return max(CHUNK, min(most, int(seconds / seconds_per_chunk) * CHUNK))


def seconds_per_chunk(program: Program, state: MemberState, pool: Pool, config: TrainConfig) -> float:
    """Measured on examples of no consequence."""
    examples = np.zeros((CHUNK, config.batch_size), np.int32)
    state, losses = program(_on_device(state), pool, examples, np.zeros(CHUNK, np.float32))
    losses.block_until_ready()
    began = time.monotonic()
    _, losses = program(state, pool, examples, np.zeros(CHUNK, np.float32))
    losses.block_until_ready()
    return time.monotonic() - began
