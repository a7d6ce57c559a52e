"""The files that a prediction leaves: maps as pictures and numbers for each photograph, one summary for all."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax import maps
from spotrust_jax.evaluation.metrics import confusion, scores
from spotrust_jax.inference.segmenter import Prediction


@dataclasses.dataclass(frozen=True)
class Row:
    """A photograph's line in the summary; figures that are not known are None.

    Attributes:
        photograph: the file.
        outputs: stem of its maps, relative to the output folder.
        status: "ok", or "failed" where anything about this photograph could not be used.
        message: what went wrong, and what to do.
        height, width: pixels.
        threshold: probability from which a pixel counts as corrosion.
        corroded_fraction: share of pixels that do.
        mean_probability, mean_epistemic, mean_log_variance: means of the maps.
        iou_corrosion, miou, f1, precision, recall, accuracy: against the ground truth.
    """

    photograph: str
    outputs: str
    status: str = "ok"
    message: str = ""
    height: int | None = None
    width: int | None = None
    threshold: float | None = None
    corroded_fraction: float | None = None
    mean_probability: float | None = None
    mean_epistemic: float | None = None
    mean_log_variance: float | None = None
    iou_corrosion: float | None = None
    miou: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None


def map_pictures(
    image: UInt8[np.ndarray, "height width 3"],
    prediction: Prediction,
    threshold: float,
    truth: Bool[np.ndarray, "height width"] | None = None,
) -> dict[str, UInt8[np.ndarray, "_height _width 3"]]:
    """Pictures by name: mask, overlay, epistemic, aleatoric and, with a truth, accuracy."""
    mask = prediction.mask(threshold)
    epistemic_range = maps.display_range(prediction.epistemic, floor=0.0)
    log_variance_range = maps.display_range(prediction.log_variance)
    pictures = {
        "mask": maps.mask_picture(mask),
        "overlay": maps.overlay_picture(image, mask),
        "epistemic": _uncertainty(prediction.epistemic, "standard deviation of the probability", epistemic_range),
        "aleatoric": _uncertainty(prediction.log_variance, "log variance", log_variance_range),
    }
    return pictures if truth is None else {**pictures, "accuracy": maps.accuracy_picture(mask, truth)}


def write_maps(
    stem: Path,
    image: UInt8[np.ndarray, "height width 3"],
    prediction: Prediction,
    threshold: float,
    truth: Bool[np.ndarray, "height width"] | None = None,
) -> None:
    """Writes STEM_mask.png, _overlay, _epistemic, _aleatoric and _maps.npz, and _accuracy where there is a truth."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for name, picture in map_pictures(image, prediction, threshold, truth).items():
        maps.save_picture(picture, _beside(stem, f"_{name}.png"))
    _save_arrays(_beside(stem, "_maps.npz"), prediction)


def describe(row: Row, prediction: Prediction, threshold: float, truth: Bool[np.ndarray, "height width"] | None) -> Row:
    """The row with its figures."""
    mask = prediction.mask(threshold)
    measured = {} if truth is None else {k: float(v) for k, v in scores(confusion(mask, truth))._asdict().items()}
    return dataclasses.replace(
        row,
        height=mask.shape[0],
        width=mask.shape[1],
        threshold=threshold,
        corroded_fraction=float(mask.mean()),
        mean_probability=float(prediction.probability.mean()),
        mean_epistemic=float(prediction.epistemic.mean()),
        mean_log_variance=float(prediction.log_variance.mean()),
        **measured,
    )


def write_summary(folder: Path, rows: Sequence[Row]) -> None:
    """Writes summary.csv and summary.json, a line or an object for each photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [dataclasses.asdict(row) for row in rows]
    (folder / "summary.json").write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Row)])
        writer.writeheader()
        writer.writerows(records)


def _uncertainty(values: np.ndarray, label: str, limits: tuple[float, float]) -> np.ndarray:
    return maps.uncertainty_picture(values, label=label, lower=limits[0], upper=limits[1])


def _beside(stem: Path, ending: str) -> Path:
    """The stem with an ending; `with_suffix` would cut a stem that has a dot in it."""
    return stem.parent / f"{stem.name}{ending}"


def _save_arrays(path: Path, prediction: Prediction) -> None:
    """float16 is exact to 0.0005 for probabilities; written beside and renamed, so that no half file is ever seen."""
    names = ("probability", "epistemic", "log_variance")
    arrays = {name: getattr(prediction, name).astype(np.float16) for name in names}
    partial = path.with_name(f".{path.name}.partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)
