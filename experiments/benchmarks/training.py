"""How long a training step and its compilation take, against plain Flax, and how much of a device it uses."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from experiments.benchmarks.measurement import Measurement, summary, timed
from experiments.benchmarks.plain_network import PlainNetwork
from spotrust_jax.config import ModelConfig
from spotrust_jax.losses import attenuated_cross_entropy
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.segmenter import build_network, variable_shapes

# Repeats of each step, all kinds in turn, so that a busy machine slows all of them.
_REPEATS = 9
_PRESET, _SIZE, _BATCH = "w18", 256, 2
# Of the throughput on accelerators.
_LARGE_PRESET, _LARGE_SIZE, _LARGE_BATCH = "w48", 512, 8

# Peak of dense matrix products, in 1e12 operations a second: bfloat16, and float32 as jax multiplies it by default.
_PEAKS = {
    "NVIDIA A100": (312, 156),
    "NVIDIA H100": (989, 494),
    "NVIDIA H200": (989, 494),
    "NVIDIA L4": (121, 60),
    "TPU v4": (275, 275),
    "TPU v5 lite": (197, 197),
    "TPU v5p": (459, 459),
    "TPU v6 lite": (918, 918),
}

Apply = Callable[[Any, Array], tuple[tuple[Array, Array], Any]]


class _Step(NamedTuple):
    """A compiled step, called without arguments, and how long it took to compile, in seconds."""

    run: Callable[[], None]
    compiled: Any
    compile_seconds: float


def training_step() -> list[Measurement]:
    """Step and compilation time as ratios to those of plain Flax, deterministic network, float32."""
    plain, ours = _plain_step(_PRESET, _SIZE, _BATCH), _our_step(_PRESET, _SIZE, _BATCH)
    seconds = np.array([[timed(plain.run)[0], timed(ours.run)[0]] for _ in range(_REPEATS)])
    name = f"training step, {_PRESET}, {_SIZE} x {_SIZE}, batch {_BATCH}"
    compilation = ours.compile_seconds / plain.compile_seconds
    return [
        summary(f"{name}, plain Flax", seconds[:, 0], "s"),
        summary(name, seconds[:, 1], "s"),
        summary(f"{name}, ratio", seconds[:, 1] / seconds[:, 0], "of plain"),
        summary(f"{name}, compilation, ratio", np.array([compilation]), "of plain"),
    ]


def compilation() -> list[Measurement]:
    """Compilation of the w48 step at 512 x 512 against that of plain Flax, once each: minutes on two cores."""
    size, batch = _LARGE_SIZE, 1
    plain = _plain_step(_LARGE_PRESET, size, batch).compile_seconds
    ours = _our_step(_LARGE_PRESET, size, batch).compile_seconds
    name = f"compilation of a training step, {_LARGE_PRESET}, {size} x {size}"
    return [
        summary(f"{name}, plain Flax", np.array([plain]), "s"),
        summary(name, np.array([ours]), "s"),
        summary(f"{name}, ratio", np.array([ours / plain]), "of plain"),
    ]


def training_throughput() -> list[Measurement]:
    """Images a second of w48 at 512 x 512, and the share of the device's peak where that is known; no CPU is asked."""
    if jax.default_backend() == "cpu":
        return []
    return [row for dtype in ("float32", "bfloat16") for row in _throughput(dtype)]


def _throughput(dtype: str) -> list[Measurement]:
    step = _our_step(_LARGE_PRESET, _LARGE_SIZE, _LARGE_BATCH, dtype)
    rates = _LARGE_BATCH / np.array([timed(step.run)[0] for _ in range(_REPEATS)])
    name = f"training, {_LARGE_PRESET}, {_LARGE_SIZE} x {_LARGE_SIZE}, batch {_LARGE_BATCH}, {dtype}"
    rows = [summary(name, rates, "images/s")]
    kind = jax.devices()[0].device_kind
    peak = next((peaks for start, peaks in _PEAKS.items() if kind.startswith(start)), None)
    if peak:
        operations = step.compiled.cost_analysis()["flops"] / _LARGE_BATCH
        share = 100 * rates * operations / (1e12 * peak[0 if dtype == "bfloat16" else 1])
        rows.append(summary(f"{name}, of the peak", share, "%"))
    return rows


def _our_step(preset: str, size: int, batch: int, dtype: str = "float32") -> _Step:
    model = ModelConfig("deterministic", preset, dtype=dtype)
    network = build_network(model)
    return _compiled(
        variable_shapes(model),
        lambda variables, images: network.apply(variables, images, None, True, mutable="batch_stats"),
        size,
        batch,
    )


def _plain_step(preset: str, size: int, batch: int) -> _Step:
    network = PlainNetwork(architecture(preset))
    return _compiled(
        jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))),
        lambda variables, images: network.apply(variables, images, mutable="batch_stats"),
        size,
        batch,
    )


def _compiled(shapes: Any, apply: Apply, size: int, batch: int) -> _Step:
    """A step of Adam on random images; the cache of compiled programs is left out."""
    optimizer = optax.adam(1e-3)
    images = jax.random.normal(jax.random.key(1), (batch, size, size, 3))
    labels = (images[..., 0] > 1).astype(jnp.float32)

    def step(variables: Any, moments: Any, images: Array, labels: Array) -> tuple[Any, Any, Float[Array, ""]]:
        def loss_of(params: Any) -> tuple[Float[Array, ""], Any]:
            (logits, log_variance), updated = apply({**variables, "params": params}, images)
            loss = attenuated_cross_entropy(
                logits, log_variance, labels, positive_weight=7.0, bound=10.0, bounding="smooth"
            )
            return loss, updated["batch_stats"]

        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(variables["params"])
        updates, moments = optimizer.update(gradients, moments)
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, "batch_stats": statistics}, moments, loss

    # The same number everywhere: how fast a step is does not depend on it.
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01), shapes)
    state = (variables, optimizer.init(variables["params"]))
    compiled, seconds = _compile(jax.jit(step), (*state, images, labels))
    run = lambda: jax.block_until_ready(compiled(*state, images, labels))  # noqa: E731
    run()
    return _Step(run, compiled, seconds)


def _compile(function: Any, arguments: tuple) -> tuple[Any, float]:
    """The compiled function, and how long it took without a cache of compiled programs."""
    cached = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        started = time.perf_counter()
        compiled = function.lower(*arguments).compile()
        return compiled, time.perf_counter() - started
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
