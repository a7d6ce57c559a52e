"""What a run writes down about itself: one JSON line for each epoch and member, and TensorBoard events.

A run that goes on after an interruption goes on with its log from where its state is: nothing stands in it twice.
"""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter

from spotrust_jax.io.atomic_files import write_atomically

LOG_NAME = "metrics.jsonl"


class Log:
    """Appends to RUN/metrics.jsonl and writes events under RUN/events, in the first process only."""

    def __init__(self, run_directory: Path, epochs: int, steps: int):
        self._writes = jax.process_index() == 0
        if not self._writes:
            return
        self._lines = run_directory / LOG_NAME
        kept = [row for row in read_log(run_directory) if row["epoch"] <= epochs]
        write_atomically(self._lines, "".join(json.dumps(row) + "\n" for row in kept))
        # Whoever reads the events drops those that an interrupted run wrote after its last state.
        self._events = SummaryWriter(str(run_directory / "events"), purge_step=steps + 1 if steps else None)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writes:
            self._events.close()

    def epoch(self, epoch: int, step: int, metrics: dict[str, np.ndarray], running: Iterable[int]) -> None:
        """Notes the metrics of an epoch, one value for each member under every name, of the members still `running`."""
        if not self._writes:
            return
        members = len(next(iter(metrics.values())))
        with self._lines.open("a") as lines:
            for member in running:
                values = {name: round(float(value[member]), 6) for name, value in metrics.items()}
                lines.write(json.dumps({"epoch": epoch, "step": step, "member": member, **values}) + "\n")
                for name, value in values.items():
                    self._events.add_scalar(name if members == 1 else f"{name}/member{member}", value, step)

    def panels(self, step: int, pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> None:
        """Notes pictures of validation photographs."""
        if self._writes:
            for number, picture in enumerate(pictures):
                self._events.add_image(f"validation/photograph{number}", picture, step, dataformats="HWC")


def read_log(run_directory: Path) -> list[dict[str, Any]]:
    """The lines of RUN/metrics.jsonl, without one that a killed process left half written."""
    path, rows = run_directory / LOG_NAME, []
    for line in path.read_text().splitlines() if path.is_file() else []:
        with contextlib.suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    return rows
