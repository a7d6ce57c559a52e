"""What is said where a step is larger than the memory."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from spotrust_jax.config import TrainConfig
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.training import checks
from spotrust_jax.training.checks import check_memory
from spotrust_jax.training.memory import memory_errors, memory_remedy, peak_memory, step_bytes


def test_bytes_are_arguments_results_and_what_lies_between():
    compiled = jax.jit(lambda x: jnp.sort(x) @ jnp.ones((1000, 10))).lower(jnp.zeros((100, 1000))).compile()
    smallest = 4 * (100 * 1000 + 100 * 10)
    assert smallest <= step_bytes(compiled) < 4 * smallest


def test_too_large_a_step_says_how_much_is_needed_and_what_to_turn():
    with pytest.raises(InputError, match=r"needs 4398\.0 GB .* which has \d+\.\d [GM]B left: lower config\.batch"):
        check_memory(4 << 40, TrainConfig(), jax.devices()[:1])


def test_little_memory_is_reported_in_a_fitting_unit(monkeypatch):
    monkeypatch.setattr(checks, "available_bytes", lambda devices: 4096)
    with pytest.raises(InputError, match=r"needs 48\.2 MB on each device, which has 4\.1 kB left: "):
        check_memory(48_200_000, TrainConfig(), [])


def test_device_that_runs_full_is_one_line():
    with pytest.raises(RunError, match="ran out of memory: lower"), memory_errors(memory_remedy(TrainConfig())):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes\nmore")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory_errors(memory_remedy(TrainConfig())):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_peak_of_the_host_is_that_of_the_kernel():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert peak_memory(jax.devices())["host"] == pytest.approx(int(status["VmHWM"].split()[0]) / 2**20, rel=0.05)
