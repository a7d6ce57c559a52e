"""Scores of a trained model on a labelled split, at the photographs' own size, with intervals over images."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from spotrust_jax.data.example import Dataset
from spotrust_jax.evaluation.bootstrap import bootstrap_interval
from spotrust_jax.evaluation.metrics import Confusion, Scores, confusion, mean_scores, pooled_scores, scores
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.segmenter import Segmenter

# Pooled: over all pixels of all images together. Per image: each image scored, then averaged, as the paper's table.
AVERAGES = {"pooled": pooled_scores, "per_image": mean_scores}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Pixel counts of every image of a split, under the name of the model that they belong to."""

    model: str
    images: tuple[str, ...]
    confusions: tuple[Confusion, ...]


def evaluate(
    model: str, segmenter: Segmenter, dataset: Dataset, analysis: Analysis, threshold: float | None = None
) -> Evaluation:
    """Predicts every photograph of a split and counts; the threshold is the model's own unless given."""
    counted = []
    for example in tqdm(dataset, desc=model, unit="photo", mininterval=1.0):
        prediction = predict_photograph(segmenter, example.image, analysis)
        counted.append(confusion(prediction.mask(threshold), example.mask))
    return Evaluation(model, tuple(dataset.names), tuple(counted))


def summarize(evaluation: Evaluation) -> dict:
    """Scores and their 95% bootstrap intervals over images, for both ways to average."""
    summary = {"model": evaluation.model, "images": len(evaluation.images)}
    for name, average in AVERAGES.items():
        lower, upper = bootstrap_interval(evaluation.confusions, average)
        values = average(evaluation.confusions)
        summary[name] = {
            metric: {"value": float(value), "interval": [float(low), float(high)]}
            for metric, value, low, high in zip(Scores._fields, values, lower, upper, strict=True)
        }
    return summary


def write_evaluations(folder: Path, evaluations: Sequence[Evaluation]) -> str:
    """Writes metrics.json, per_image.csv and table.md into `folder`, and returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    summaries = [summarize(evaluation) for evaluation in evaluations]
    (folder / "metrics.json").write_text(json.dumps(summaries, indent=2) + "\n")
    with (folder / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "image", *Scores._fields])
        for evaluation in evaluations:
            for image, counts in zip(evaluation.images, evaluation.confusions, strict=True):
                writer.writerow([evaluation.model, image, *(round(float(value), 6) for value in scores(counts))])
    table = _markdown(summaries)
    (folder / "table.md").write_text(table)
    return table


def _markdown(summaries: Sequence[dict]) -> str:
    lines = [
        f"| model | average | {' | '.join(Scores._fields)} |",
        f"|---|---|{'---|' * len(Scores._fields)}",
    ]
    for summary in summaries:
        for average in AVERAGES:
            cells = [_cell(summary[average][metric]) for metric in Scores._fields]
            lines.append(f"| {summary['model']} | {average.replace('_', ' ')} | {' | '.join(cells)} |")
    note = f"{summaries[0]['images']} images; in brackets 95% bootstrap intervals over images."
    return "\n".join([*lines, "", note, ""])


def _cell(score: dict) -> str:
    low, high = score["interval"]
    return f"{score['value']:.3f} ({low:.3f} to {high:.3f})"
