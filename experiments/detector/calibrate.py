"""Calibrates the trained detector, chooses its threshold, and packages it; then scores it once on the test parts.

python -m experiments.detector.calibrate --checkpoint=runs/detector/ensemble/best --photographs=PHOTOGRAPHS \
    --output=runs/detector/scores [--test]

Slope, intercept and threshold are fitted on the validation photographs, which chose nothing else; what they are worth
on photographs that did not fit them is estimated by leaving out a fifth of the groups at a time. Measured photographs
are kept in OUTPUT, so a second start predicts nothing again.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import app, flags
from jaxtyping import Float64

from experiments.detector import measure, scores
from experiments.detector.folders import clean, labelled
from experiments.detector.measure import Measured, Photograph
from experiments.detector.scores import Interval
from spotrust_jax.calibration.areas import fit_areas_to_pixels
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.inference.segmenter import Segmenter, load

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Trained model.", required=True)
_PHOTOGRAPHS = flags.DEFINE_string("photographs", None, "Folder of inspection_photos and no_rust.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for what was measured, and for the scores.", required=True)
_SCALE = flags.DEFINE_integer("scale", 0, "Long side in pixels of the analysis; 0 is the trained one.")
_TEST = flags.DEFINE_bool("test", False, "Whether the test parts are scored, too: once, when nothing is to be chosen.")

_FOLDS = 5
# Of photographs without corrosion: largest share of their area, and of photographs with more than 1%, to be marked.
_CLEAN_AREA, _CLEAN_PHOTOGRAPHS = 0.015, 0.2


def cautious_threshold(without_rust: Measured, best: float) -> float:
    """The lowest raw probability above the `best` that keeps false alarms within their bounds."""
    for threshold in np.linspace(best, 0.99, 200):
        area = scores.called_area(without_rust, threshold)
        if area.mean() <= _CLEAN_AREA and (area > 0.01).mean() <= _CLEAN_PHOTOGRAPHS:
            return float(threshold)
    return 0.99


def out_of_fold(validation: Measured) -> dict[str, float]:
    """Scores of each fifth of the groups with calibration and threshold of the others, averaged over the fifths."""
    names, place = np.unique(np.asarray(validation.groups), return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[place] % _FOLDS
    found = []
    for number in range(_FOLDS):
        rest, part = validation.chosen(fold != number), validation.chosen(fold == number)
        calibration, every = scores.fit_calibration(rest, _all(rest)), _all(part)
        found.append(
            (
                scores.f1_of(part, scores.best_threshold(rest, _all(rest)))(every),
                scores.calibration_error_of(part, calibration)(every),
                scores.brier_skill_of(part, calibration)(every),
            )
        )
    return dict(zip(("f1", "ece_above_0.1", "brier_skill"), np.mean(found, axis=0).tolist(), strict=True))


def scored(
    measured: Measured, without_rust: Measured, calibration: PlattScaling, threshold: float
) -> dict[str, dict[str, Interval]]:
    """Every score by what it is of, with its 95% interval over groups."""
    area = scores.called_area(without_rust, threshold)
    share_of = {"area marked": area, "photographs with over 1% marked": (area > 0.01).astype(float)}
    false_alarms = {
        name: scores.interval(lambda weights, v=values: float(weights @ v / weights.sum()), without_rust.groups)
        for name, values in share_of.items()
    }
    statistics = {
        "F1": lambda part: scores.f1_of(part, threshold),
        "calibration error above 0.1": lambda part: scores.calibration_error_of(part, calibration),
        "Brier skill": lambda part: scores.brier_skill_of(part, calibration),
    }
    of_sites = {name: scores.by_site(measured, statistic) for name, statistic in statistics.items()}
    return {**of_sites, **{name: {"no_rust": value} for name, value in false_alarms.items()}}


def as_records(found: dict[str, dict[str, Interval]]) -> list[dict]:
    """Scores as a model's card has them."""
    return [
        {"measure": measure, "on": f"test, {on}", **value._asdict()}
        for measure, values in found.items()
        for on, value in values.items()
    ]


def table(found: dict[str, dict[str, Interval]], measured: Measured, without_rust: Measured) -> str:
    """Scores as Markdown."""
    f1, error, skill, (mean,), (marked,) = (tuple(v.values()) if "no_rust" in v else v for v in found.values())
    counts = {site: len(measured.names) if site == "all" else measured.sites.count(site) for site in f1}
    rows = [f"| {site} | {counts[site]} | {f1[site]} | {error[site]} | {skill[site]} |" for site in f1]
    photographs = len(without_rust.names)
    return "\n".join(
        [
            "| site | photographs | F1 | calibration error above 0.1 | Brier skill |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"Of {photographs} photographs without rust {mean} of the area is marked, and over 1% of {marked} of them.",
        ]
    )


def _all(measured: Measured) -> Float64[np.ndarray, "photographs"]:
    return np.ones(len(measured.names))


def _measured(name: str, segmenter: Segmenter, photographs: Iterator[Photograph], scale: int) -> Measured:
    # Of this very model: another one's pixels are never taken for its own.
    path = Path(_OUTPUT.value) / f"{name}_{scale}_{segmenter.fingerprint[:12]}.npz"
    if not path.exists():
        measure.save(measure.measure(segmenter, list(photographs), scale), path)
    return measure.load(path)


def main(_: list[str]) -> None:
    """Measures, fits, and writes scores.json and tables."""
    photographs, output = Path(_PHOTOGRAPHS.value), Path(_OUTPUT.value)
    segmenter = load(_CHECKPOINT.value)
    scale = _SCALE.value or segmenter.config.inference_size

    def of(split: str) -> tuple[Measured, Measured]:
        known = _measured(split, segmenter, labelled(photographs / "inspection_photos", split), scale)
        return known, _measured(f"no_rust_{split}", segmenter, clean(photographs, split), scale)

    validation, without_rust = of("validation")
    calibration = scores.fit_calibration(validation, _all(validation))
    best = scores.best_threshold(validation, _all(validation))
    thresholds = {"best_f1": best, "cautious": cautious_threshold(without_rust, best)}
    groups = len(set(validation.groups))
    found = {
        "scale": scale,
        "slope": calibration.slope,
        "intercept": calibration.intercept,
        "threshold": float(calibration(np.float64(best))),
        "cautious_threshold": float(calibration(np.float64(thresholds["cautious"]))),
        "rule": f"best F1, on {len(validation.names)} photographs in {groups} groups",
        "areas": dataclasses.asdict(fit_areas_to_pixels(scores.histograms(validation), validation.groups, 1.0)),
        "out_of_fold": out_of_fold(validation),
    }
    (output / f"calibration_{scale}.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    for split in ("validation", "test") if _TEST.value else ("validation",):
        for rule, threshold in thresholds.items():
            result = scored(*of(split), calibration, threshold)
            text = table(result, *of(split))
            (output / f"{split}_{rule}_{scale}.md").write_text(text + "\n")
            (output / f"{split}_{rule}_{scale}.json").write_text(json.dumps(as_records(result), indent=2) + "\n")
            print(f"\n{split}, threshold {rule} {calibration(np.float64(threshold)):.3f}\n\n{text}")


if __name__ == "__main__":
    app.run(main)
