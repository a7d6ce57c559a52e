"""Measurements as a table for people and as JSON, both with the machine and the versions they belong to."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import jax

from spotrust_jax.benchmarks.measurement import Measurement

_PACKAGES = ("spotrust-jax", "jax", "jaxlib", "flax", "numpy", "grain", "pillow")


def environment() -> dict[str, str]:
    """Date (UTC), device and versions."""
    devices = jax.devices()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def table(measurements: Sequence[Measurement]) -> str:
    """One line for each: name, value, unit and the range that half of the repeats lie in."""
    rows = [("name", "value", "unit", "spread")]
    rows += [(m.name, f"{m.value:.4g}", m.unit, f"{m.low:.4g} to {m.high:.4g}") for m in measurements]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def write_json(path: Path, measurements: Sequence[Measurement]) -> None:
    """The environment and a list of the measurements; folders that are not there are made."""
    content = {"environment": environment(), "measurements": [m._asdict() for m in measurements]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
