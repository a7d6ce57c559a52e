"""Measurements as a table for people and as JSON, both with the machine and the versions they belong to."""

import json
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.measurement import Measurement
from spotrust_jax.training.environment import environment


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
