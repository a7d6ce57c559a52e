"""Curves of several models in one picture each: reliability, risk against coverage, patches against certainty."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spotrust_jax.evaluation.evaluate import Evaluation
from spotrust_jax.io.atomic_files import atomic_file
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES
from spotrust_jax.metrics.ranking import risk_curve
from spotrust_jax.metrics.ranking_errors import Pavpu, patch_scores
from spotrust_jax.metrics.reliability import equal_mass, equal_width

_SHARES = np.arange(0.02, 1.001, 0.02)


def write_plots(folder: Path, evaluations: Sequence[Evaluation]) -> list[Path]:
    """Writes reliability.png, risk_coverage.png and pavpu.png, and returns their paths."""
    plots = {
        "reliability": (1, lambda axes: _reliability(axes[0], evaluations)),
        "risk_coverage": (len(UNCERTAINTIES), lambda axes: _by_uncertainty(axes, evaluations, _risk)),
        "pavpu": (len(UNCERTAINTIES), lambda axes: _by_uncertainty(axes, evaluations, _patches)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in plots]
    for path, (columns, draw) in zip(paths, plots.values(), strict=True):
        _write(path, columns, draw)
    return paths


def _write(path: Path, columns: int, draw: Callable[[np.ndarray], None]) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, which only who draws spends

    figure = Figure(figsize=(4.2 * columns, 4.2), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    draw(axes)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _reliability(axes: Any, evaluations: Sequence[Evaluation]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for evaluation in evaluations:
        found = equal_mass(evaluation.pooled.by_probability, 40)
        wide = equal_width(evaluation.pooled.by_probability)
        there = wide.counts > 0
        (line,) = axes.plot(wide.predicted[there], wide.observed[there], marker="o", label=evaluation.model)
        axes.plot(found.predicted, found.observed, linestyle="none", marker=".", color=line.get_color())
    axes.set(xlabel="predicted probability", ylabel="share that is corrosion", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("15 bins of one width (circles), 40 of one mass (dots)", fontsize=9)
    axes.legend(fontsize=8)


def _by_uncertainty(axes: np.ndarray, evaluations: Sequence[Evaluation], draw: Callable[..., None]) -> None:
    for axis, name in zip(axes, UNCERTAINTIES, strict=True):
        for evaluation in evaluations:
            draw(axis, evaluation, name)
        axis.set_ylim(bottom=0)
        axis.set_title(name.replace("_", " "))
    axes[0].legend(fontsize=8)


def _risk(axis: Any, evaluation: Evaluation, name: str) -> None:
    ranked = evaluation.pooled.ranked[name]
    axis.plot(_SHARES, risk_curve(ranked.counts, ranked.sums[0], _SHARES), label=evaluation.model)
    axis.set(xlabel="share of pixels judged, most certain first", ylabel="share of them that is wrong")


def _patches(axis: Any, evaluation: Evaluation, name: str) -> None:
    values = [patch_scores(evaluation.pooled.patches[name], share).pavpu for share in _SHARES]
    axis.plot(_SHARES, values, label=evaluation.model)
    axis.set(xlabel="share of patches called certain", ylabel=Pavpu.label)
