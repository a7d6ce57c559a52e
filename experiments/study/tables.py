"""The study's findings as Markdown and JSON: no number in them but measured ones."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.study.measure import MISS_RATE, REVIEWED, Measured
from spotrust_jax.evaluation.measures import Measure, summarize, summarize_out_of_distribution
from spotrust_jax.evaluation.plots import write_plots
from spotrust_jax.evaluation.tables import with_interval, write_evaluations
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES

Row = dict[str, Any]
_ByName = dict[tuple[str, str], Measure]


class _Found(NamedTuple):
    """A model with all measures, by group and metric; those of sets out of distribution by their name."""

    measured: Measured
    measures: _ByName
    out_of_distribution: dict[str, _ByName]

    def beside(self, ood: str) -> list[Measure]:
        """All measures, with those of one set out of distribution."""
        return [*self.measures.values(), *self.out_of_distribution[ood].values()]


def write_study(folder: Path, name: str, measured: Sequence[Measured]) -> str:
    """Writes study.md, study.json, plots, and the full tables for each set out of distribution; returns the text."""
    found = [_found(one) for one in measured]
    ensemble = next(one for one in found if one.measured.model.name == "ensemble")
    tables: dict[str, list[Row]] = {
        "Masks and probabilities on the test part": [_masks(one, found[0]) for one in found],
        "Errors, put in order by uncertainty": [row for one in found for row in _errors(one)],
        "Out of distribution": [row for one in found for row in _out_of_distribution(one)],
        "Epistemic deviation": [_epistemic(one, ensemble) for one in found],
        f"Threshold for a miss rate of {MISS_RATE:g}": [_missed(one) for one in found if len(one.measured.missed)],
        f"Missed corrosion in the first {REVIEWED:.0%} of the photographs": [
            _reviewed(one) for one in found if one.measured.reviewed
        ],
        # So few photographs, which small networks hardly detect, decide nothing.
        "What was to hold": [row for one in found for row in _checks(one) if name != "photographs"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    tests = [one.test for one in measured]
    for ood in measured[0].out_of_distribution:
        others = [one.out_of_distribution[ood] for one in measured]
        write_evaluations(folder / ood.replace(" ", "_"), tests, others, [one.beside(ood) for one in found])
    write_plots(folder / "plots", tests)
    text = "\n".join(
        [f"## {name.capitalize()}", "", *(_markdown(title, rows) for title, rows in tables.items() if rows)]
    )
    write_atomically(folder / "study.md", text)
    write_atomically(folder / "study.json", json.dumps(tables, indent=2) + "\n")
    return text


def _found(one: Measured) -> _Found:
    def by_name(measures: Sequence[Measure]) -> _ByName:
        return {(measure.group, measure.metric): measure for measure in measures}

    ood = {
        name: by_name(summarize_out_of_distribution(one.test, images))
        for name, images in one.out_of_distribution.items()
    }
    return _Found(one, by_name(summarize(one.test)), ood)


def _masks(one: _Found, first: _Found) -> Row:
    raw, platt = one.measured.qualities["raw"], one.measured.qualities["platt"]
    temperature = one.measured.qualities["temperature"]
    return {
        "model": one.measured.model.name,
        "networks trained": str(one.measured.model.networks),
        "F1": with_interval(one.measures["pooled", "f1"]),
        "IoU of corrosion": with_interval(one.measures["pooled", "iou_corrosion"]),
        "slope, intercept": f"{one.measured.calibration.slope:.2f}, {one.measured.calibration.intercept:+.2f}",
        "NLL raw": f"{raw.negative_log_likelihood:.4f}",
        "NLL temperature": f"{temperature.negative_log_likelihood:.4f}",
        "NLL calibrated": f"{platt.negative_log_likelihood:.4f}",
        "miscalibration raw": f"{raw.miscalibration:.4f}",
        "miscalibration calibrated": with_interval(one.measures["reliability/all", "miscalibration"], 4),
        "discrimination": with_interval(one.measures["reliability/all", "discrimination"], 4),
        "Brier skill": with_interval(one.measures["probability", "brier_skill"]),
        "sharpness": f"{platt.sharpness:.4f}",
        "time of 24 passes": f"{one.measured.seconds / first.measured.seconds:.2f}",
    }


def _errors(one: _Found) -> list[Row]:
    """By the uncertainty that was best on validation, and by the paper's two."""
    rows = []
    for name in dict.fromkeys([one.measured.doubt, "epistemic", "log_variance"]):
        rows.append(
            {
                "model": one.measured.model.name,
                "uncertainty": name.replace("_", " ") + (" (chosen)" if name == one.measured.doubt else ""),
                "error rate": f"{1 - one.measures['pooled', 'accuracy'].value:.4f}",
                "without the 20% most uncertain": with_interval(one.measures[name, "risk_at_coverage"], 4),
                "AURC": with_interval(one.measures[name, "aurc"], 4),
                "AUSE": with_interval(one.measures[name, "ause"]),
                "PAvPU": with_interval(one.measures[name, "pavpu"]),
            }
        )
    return rows


def _out_of_distribution(one: _Found) -> list[Row]:
    score = f"out_of_distribution/{one.measured.detector}"
    rows = []
    for name, measures in one.out_of_distribution.items():
        aurocs = {other: measures[f"out_of_distribution/{other}", "image_auroc"].value for other in UNCERTAINTIES}
        best = max(aurocs, key=aurocs.__getitem__)
        rows.append(
            {
                "model": one.measured.model.name,
                "out of distribution": name,
                "score chosen on validation": one.measured.detector.replace("_", " "),
                "AUROC by image": with_interval(measures[score, "image_auroc"]),
                "FPR95 by image": with_interval(measures[score, "image_fpr95"]),
                "AUROC by pixel": with_interval(measures[score, "pixel_auroc"]),
                "best here": f"{best.replace('_', ' ')} {aurocs[best]:.3f}",
                "called corrosion": f"{one.measured.called[name]:.3f}",
            }
        )
    if "hard negatives" in one.measured.called:
        called = {
            "out of distribution": "hard negatives",
            "called corrosion": f"{one.measured.called['hard negatives']:.3f}",
        }
        rows.append({**dict.fromkeys(rows[0], ""), "model": one.measured.model.name, **called})
    return rows


def _missed(one: _Found) -> Row:
    missed = one.measured.missed
    return {
        "model": one.measured.model.name,
        "divisions": str(len(missed)),
        "mean realised miss rate": f"{missed.mean():.4f}",
        "standard error": f"{_standard_error(missed):.4f}",
        "5% to 95% of divisions": f"{np.quantile(missed, 0.05):.3f} to {np.quantile(missed, 0.95):.3f}",
    }


def _reviewed(one: _Found) -> Row:
    orders = one.measured.reviewed
    found = {name: f"{order.found:.3f} ({order.low:.3f} to {order.high:.3f})" for name, order in orders.items()}
    any_order = next(iter(orders.values()))
    ends = {"random": f"{any_order.random:.3f}", "perfect": f"{any_order.perfect:.3f}"}
    return {"model": one.measured.model.name, **found, **ends}


def _checks(one: _Found) -> list[Row]:
    raw, platt = one.measured.qualities["raw"], one.measured.qualities["platt"]
    errors = 1 - one.measures["pooled", "accuracy"].value
    kept = one.measures[one.measured.doubt, "risk_at_coverage"].value
    steel = next(iter(one.out_of_distribution.values()))[
        f"out_of_distribution/{one.measured.detector}", "image_auroc"
    ].value
    share = platt.miscalibration / platt.brier
    gain = platt.negative_log_likelihood - raw.negative_log_likelihood
    checks = [
        ("change of the NLL by calibration, below 0", gain, gain < 0),
        ("miscalibration over Brier score, below 0.1", share, share < 0.1),
        ("Brier skill, above 0.3", platt.brier_skill, platt.brier_skill > 0.3),
        ("error rate of the 80% most certain over that of all, at most 0.5", kept / errors, kept <= errors / 2),
        ("AUROC of scenes without steel, above 0.9", steel, steel > 0.9),
    ]
    if len(one.measured.missed):
        missed = float(one.measured.missed.mean())
        most = MISS_RATE + 2 * _standard_error(one.measured.missed)
        checks.append(("mean miss rate, from 0.07 to 0.1 and two errors", missed, 0.07 <= missed <= most))
    name = one.measured.model.name
    answers = [(what, f"{value:.4f}", "yes" if held else "no") for what, value, held in checks]
    return [dict(zip(("model", "what", "value", "held"), (name, *answer), strict=True)) for answer in answers]


def _epistemic(one: _Found, ensemble: _Found) -> Row:
    """Whether the maps differ: over photographs, how large they are, and how much they go with the ensemble's."""
    mine, other = (found.measured.test.means["epistemic"] for found in (one, ensemble))
    together = np.corrcoef(mine, other)[0, 1] if mine.std() > 0 else None
    return {
        "model": one.measured.model.name,
        "mean over photographs": f"{mine.mean():.4f}",
        "deviation over photographs": f"{mine.std():.4f}",
        "correlation with the ensemble's": "" if together is None else f"{together:.3f}",
    }


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _markdown(title: str, rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(row.values())} |" for row in rows]
    return "\n".join([f"### {title}", "", f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}", *lines, ""])
