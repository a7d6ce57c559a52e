"""Memory of a training step: what it takes, what devices have, and what helps where that is too little."""

import contextlib
import resource
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import psutil

from spotrust_jax.config import TrainConfig
from spotrust_jax.errors import RunError
from spotrust_jax.typing import Device

_GIBIBYTE = 1 << 30


@contextlib.contextmanager
def memory_errors(remedy: str) -> Iterator[None]:
    """Turns a device's running out of memory into one line that says what to turn, the `remedy`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise RunError(f"a device ran out of memory: {remedy}") from error


def memory_remedy(config: TrainConfig) -> str:
    """What to turn where a training step does not fit."""
    return (
        f"lower config.batch_size ({config.batch_size}), config.members ({config.members}) or config.data.image_size "
        f"{config.data.image_size}, set config.rematerialize=True or config.model.dtype=bfloat16, or "
        f"use more devices"
    )


def step_bytes(compiled: Any) -> int | None:
    """Bytes that a compiled step takes on one device: state, batch and everything in between."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    sizes = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
    return sizes - analysis.alias_size_in_bytes


def available_bytes(devices: Sequence[Device]) -> int | None:
    """Bytes that each of these devices has left; host devices share the machine's memory."""
    device = devices[0]
    if device.platform == "cpu":
        return psutil.virtual_memory().available // len(devices)
    statistics = device.memory_stats()
    return statistics["bytes_limit"] - statistics["bytes_in_use"] if statistics else None


def peak_memory(devices: Sequence[Device]) -> dict[str, float]:
    """Peaks so far, in GiB: of this process on the host and, where it is known, of the fullest of the devices."""
    peaks = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIBIBYTE}
    known = [stats["peak_bytes_in_use"] for device in devices if (stats := device.memory_stats())]
    return peaks | ({"device": max(known) / _GIBIBYTE} if known else {})
