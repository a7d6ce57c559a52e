"""What remains of a run in one file, RUN/summary.json, and several runs side by side."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from spotrust_jax.errors import InputError
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.display import size_in_words
from spotrust_jax.training.environment import environment
from spotrust_jax.training.log import read_log
from spotrust_jax.training.memory import peak_memory
from spotrust_jax.training.run_directory import differences, read_run_config

SUMMARY_NAME = "summary.json"


# A model that closes less than this part of the gap between guessing and a perfect order of the pixels is of no use.
_USEFUL = 0.05


def useless(best: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """One line for each member that separates corroded pixels from sound ones hardly better than guessing.

    `best` are their lines in the log. A model that gives one probability everywhere has the share of corroded
    pixels as its average precision.
    """
    found = [(row["member"], row["validation_average_precision"], row["validation_corroded_share"]) for row in best]
    return tuple(
        f"member {member} finds corrosion hardly better than guessing: average precision {precision:.3f} on the "
        f"validation split, of which {corroded:.3f} is corroded; train longer or on more photographs, or change "
        f"config.optimizer.learning_rate"
        for member, precision, corroded in found
        if precision - corroded < _USEFUL * (1 - corroded)
    )


def write_summary(run_directory: Path, steps: int, best: Sequence[dict[str, Any]], parameters: int) -> None:
    """Sums up a run, from its configuration and its log. Several processes write once.

    `best` are the lines in the log of the epochs after which the members' best models were kept.
    """
    if jax.process_index() > 0:
        return
    rows = read_log(run_directory)
    summary = {
        **environment(),
        "processes": jax.process_count(),
        "parameters": parameters,
        "epochs": max(row["epoch"] for row in rows),
        "steps": steps,
        "best": [{name: row[name] for name in row if _says_what(name)} for row in best],
        "remarks": useless(best),
        "seconds": round(sum({row["epoch"]: row["seconds"] for row in rows}.values()), 1),
        "images_per_second": round(statistics.median(row["images_per_second"] for row in rows), 2),
        "peak_gib": {name: round(value, 2) for name, value in peak_memory(jax.local_devices()).items()},
        "config": read_run_config(run_directory),
    }
    write_atomically(run_directory / SUMMARY_NAME, json.dumps(summary, indent=2) + "\n")


def _says_what(name: str) -> bool:
    """Of a line in the log, whether it belongs to the model and not to the time it took."""
    return name in ("member", "epoch", "step") or name.startswith("validation_")


def read_summary(run_directory: Path) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
        InputError: where there is none.
    """
    path = run_directory / SUMMARY_NAME
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        read_run_config(run_directory)
        raise InputError(f"the run in {run_directory} is not finished: start it again to go on with it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}): start the run again to write it anew") from error


def compare(run_directories: Sequence[Path]) -> str:
    """A Markdown table of finished runs: what they reached, what it took, and where their configurations differ."""
    summaries = [read_summary(run_directory) for run_directory in run_directories]
    rows = {name: [show(summary) for summary in summaries] for name, show in _ROWS.items()}
    first = summaries[0]["config"]
    names = {name for summary in summaries[1:] for name, *_ in differences(first, summary["config"])}
    rows |= {name: [json.dumps(_field(summary["config"], name)) for summary in summaries] for name in sorted(names)}
    lines = [
        f"| | {' | '.join(run_directory.as_posix() for run_directory in run_directories)} |",
        "|---|" + "---|" * len(run_directories),
    ]
    return "\n".join(lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()])


def _field(config: dict[str, Any], name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _of_best(summary: dict[str, Any], metric: str) -> str:
    """A validation score of every member's best model."""
    return ", ".join(f"{row[f'validation_{metric}']:.3f}" for row in summary["best"])


_ROWS = {
    "best average precision": lambda s: _of_best(s, "average_precision"),
    "its F1 at the best threshold": lambda s: _of_best(s, "f1_best_threshold"),
    "its F1 at one half": lambda s: _of_best(s, "f1_corrosion"),
    "epochs": lambda s: str(s["epochs"]),
    "steps": lambda s: str(s["steps"]),
    "minutes": lambda s: f"{s['seconds'] / 60:.1f}",
    "images a second": lambda s: f"{s['images_per_second']:.1f}",
    "peak memory": lambda s: ", ".join(
        f"{name} {size_in_words(round(gib * 2**30))}" for name, gib in s["peak_gib"].items()
    ),
    "parameters a member": lambda s: f"{s['parameters']:,}",
    "device": lambda s: s["device"],
    "date": lambda s: s["date"],
    "jax, flax": lambda s: f"{s['jax']}, {s['flax']}",
}
