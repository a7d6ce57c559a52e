"""Evaluations as files: tables to read, as Markdown, and every number, as CSV and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.evaluation.evaluate import Evaluation, OutOfDistribution
from spotrust_jax.evaluation.measures import (
    AVERAGES,
    Measure,
    differences,
    estimates,
    require_same_photographs,
)
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.csv_tables import csv_text
from spotrust_jax.metrics.bootstrap import group_note
from spotrust_jax.metrics.corp import BANDS, RELIABILITY
from spotrust_jax.metrics.detection import DETECTION
from spotrust_jax.metrics.masks import MASKS, Confusion, scores
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES
from spotrust_jax.metrics.probabilities import PROBABILITIES
from spotrust_jax.metrics.ranking_errors import RANKING_ERRORS

FILES = ("table.md", "metrics.csv", "differences.csv", "metrics.json", "per_image.csv")
"""What `write_evaluations` writes."""


class _Table(NamedTuple):
    """A table of one line for each model and group of measures; its columns are the measures that there are."""

    title: str
    first: str
    groups: tuple[str, ...]


_TABLES = (
    _Table(MASKS.title, "average", AVERAGES),
    _Table(PROBABILITIES.title, "", ("probability",)),
    _Table(RELIABILITY.title, "band", tuple(f"reliability/{name}" for name in ("all", *BANDS))),
    _Table(RANKING_ERRORS.title, "uncertainty", UNCERTAINTIES),
    _Table(DETECTION.title, "uncertainty", tuple(f"out_of_distribution/{name}" for name in UNCERTAINTIES)),
)


def write_evaluations(
    folder: Path,
    evaluations: Sequence[Evaluation],
    ood_evaluations: Sequence[OutOfDistribution | None] | None = None,
    measures: Sequence[Sequence[Measure]] | None = None,
) -> str:
    """Writes `FILES` into `folder` and returns the Markdown; of several models, differences from the first as well.

    Where `measures` are given, which `summarize` made, there are no differences.

    Raises:
        InputError: where models were evaluated on different photographs.
    """
    require_same_photographs(evaluations)
    folder.mkdir(parents=True, exist_ok=True)
    ood_evaluations = [None] * len(evaluations) if ood_evaluations is None else ood_evaluations
    pairs = list(zip(evaluations, ood_evaluations, strict=True))
    compared: Sequence[Sequence[Measure]] = ()
    if measures is None:
        found = [estimates(*pair) for pair in pairs]
        measures = [[measure for part in one for measure in part.measures] for one in found]
        compared = [differences(found[0], other) for other in found[1:]]
    text = "\n".join(
        [
            *(_markdown(table, measures) for table in _TABLES),
            *(_markdown(table._replace(title=f"Differences: {table.title}"), compared) for table in _TABLES),
            _note(*pairs[0]),
        ]
    )
    records = [_record(evaluation, found) for evaluation, found in zip(evaluations, measures, strict=True)]
    rows = [measure for found in measures for measure in found]
    contents = (
        text,
        csv_text(Measure._fields, rows),
        csv_text(Measure._fields, [difference for found in compared for difference in found]),
        json.dumps(records, indent=2) + "\n",
        _per_image(pairs),
    )
    for name, content in zip(FILES, contents, strict=True):
        write_atomically(folder / name, content)
    return text


def _markdown(table: _Table, measures: Sequence[Sequence[Measure]]) -> str:
    """Empty where no model has any of its groups."""
    lines, columns = [], []
    for found in measures:
        for group in table.groups:
            cells = {measure.metric: with_interval(measure) for measure in found if measure.group == group}
            if cells:
                first = [
                    found[0].model,
                    *([group.rpartition("/")[2].replace("_", " ")] if table.first else []),
                ]
                columns = list(cells)
                lines.append(f"| {' | '.join([*first, *cells.values()])} |")
    if not lines:
        return ""
    head = ["model", *([table.first] if table.first else []), *columns]
    return "\n".join([f"### {table.title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, ""])


def _note(evaluation: Evaluation, ood: OutOfDistribution | None) -> str:
    also = "" if ood is None else f", {len(ood.images)} out of distribution"
    return f"{len(evaluation.images)} images{also}; {group_note(evaluation.groups)}.\n"


def with_interval(measure: Measure, digits: int = 3) -> str:
    """A measure with its interval in brackets."""
    return f"{measure.value:.{digits}f} ({measure.low:.{digits}f} to {measure.high:.{digits}f})"


def _record(evaluation: Evaluation, measures: Sequence[Measure]) -> dict:
    record = {"model": evaluation.model, "images": len(evaluation.images), "threshold": evaluation.threshold}
    for measure in measures:
        entry = {"value": measure.value, "interval": [measure.low, measure.high]}
        record.setdefault(measure.group, {})[measure.metric] = entry
    return record


def _per_image(pairs: Sequence[tuple[Evaluation, OutOfDistribution | None]]) -> str:
    """One line for each model and photograph; those out of distribution have no scores."""
    rows = []
    for evaluation, ood in pairs:
        for index, image in enumerate(evaluation.images):
            values = scores(Confusion(*map(int, evaluation.each[index].confusion)))
            means = [evaluation.means[name][index] for name in UNCERTAINTIES]
            rows.append([evaluation.model, image, *_rounded([*values, *means])])
        for index, image in enumerate(ood.images if ood else ()):
            means = [ood.means[name][index] for name in UNCERTAINTIES] if ood else []
            rows.append([evaluation.model, image, *[""] * len(MASKS.names), *_rounded(means)])
    return csv_text(["model", "image", *MASKS.names, *(f"mean_{name}" for name in UNCERTAINTIES)], rows)


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 6) for value in values]
