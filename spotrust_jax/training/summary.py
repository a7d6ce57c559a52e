"""What remains of a run in one file, WORKDIR/summary.json, and several runs side by side."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from spotrust_jax.benchmarks.report import environment
from spotrust_jax.errors import InputError
from spotrust_jax.training.journal import read_journal
from spotrust_jax.training.memory import peak_memory
from spotrust_jax.training.workdir import differences, read_run_config
from spotrust_jax.whole_files import write_text

SUMMARY_NAME = "summary.json"


def write_summary(workdir: Path, steps: int, best_f1: Sequence[float], parameters: int) -> None:
    """Sums up the run in a working directory, from its configuration and its journal. Several processes write once."""
    if jax.process_index() > 0:
        return
    rows = read_journal(workdir)
    summary = {
        **environment(),
        "processes": jax.process_count(),
        "parameters": parameters,
        "epochs": max(row["epoch"] for row in rows),
        "steps": steps,
        "best_f1": [float(score) for score in best_f1],
        "seconds": round(sum({row["epoch"]: row["seconds"] for row in rows}.values()), 1),
        "images_per_second": round(statistics.median(row["images_per_second"] for row in rows), 2),
        "peak_gib": {name: round(value, 2) for name, value in peak_memory(jax.local_devices()).items()},
        "config": read_run_config(workdir),
    }
    write_text(workdir / SUMMARY_NAME, json.dumps(summary, indent=2) + "\n")


def read_summary(workdir: Path) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
        InputError: where there is none.
    """
    path = workdir / SUMMARY_NAME
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        read_run_config(workdir)
        raise InputError(f"the run in {workdir} is not finished: start it again to go on with it") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): start the run again to write it anew") from error


def compare(workdirs: Sequence[Path]) -> str:
    """A Markdown table of finished runs: what they reached, what it took, and where their configurations differ."""
    summaries = [read_summary(workdir) for workdir in workdirs]
    rows = {name: [show(summary) for summary in summaries] for name, show in _ROWS.items()}
    first = summaries[0]["config"]
    names = {name for summary in summaries[1:] for name, *_ in differences(first, summary["config"])}
    rows |= {name: [json.dumps(_field(summary["config"], name)) for summary in summaries] for name in sorted(names)}
    lines = [f"| | {' | '.join(workdir.as_posix() for workdir in workdirs)} |", "|---|" + "---|" * len(workdirs)]
    return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()])


def _field(config: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


_ROWS = {
    "best validation F1": lambda s: ", ".join(f"{score:.3f}" for score in s["best_f1"]),
    "epochs": lambda s: str(s["epochs"]),
    "steps": lambda s: str(s["steps"]),
    "minutes": lambda s: f"{s['seconds'] / 60:.1f}",
    "images a second": lambda s: f"{s['images_per_second']:.1f}",
    "peak memory, GiB": lambda s: ", ".join(f"{name} {value:.1f}" for name, value in s["peak_gib"].items()),
    "parameters a member": lambda s: f"{s['parameters']:,}",
    "device": lambda s: s["device"],
    "date": lambda s: s["date"],
    "jax, flax": lambda s: f"{s['jax']}, {s['flax']}",
}
