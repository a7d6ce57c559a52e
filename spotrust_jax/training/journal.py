"""What a run writes down about itself: one JSON line for each epoch and member, and TensorBoard events."""

import json
import os
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter


class Journal:
    """Appends to WORKDIR/metrics.jsonl and writes events under WORKDIR/events."""

    def __init__(self, workdir: str | os.PathLike):
        self._lines = Path(workdir) / "metrics.jsonl"
        self._events = SummaryWriter(str(Path(workdir) / "events"))

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()

    def epoch(self, epoch: int, step: int, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Notes the metrics of an epoch, one value for each member under every name."""
        members = len(next(iter(metrics.values())))
        with self._lines.open("a") as lines:
            for member in range(members):
                values = {name: round(float(value[member]), 6) for name, value in metrics.items()}
                row = {"epoch": epoch, "step": step, "member": member, **values, "seconds": round(seconds, 2)}
                lines.write(json.dumps(row) + "\n")
        for name, value in metrics.items():
            for member in range(members):
                tag = name if members == 1 else f"{name}/member{member}"
                self._events.add_scalar(tag, float(value[member]), step)
