"""Intervals of areas: what they are made of, and how often they hold for photographs that made none of them.

python -m experiments.detector.areas --fit=OUTPUT/validation_512_ID.npz [--score=OUTPUT/test_512_ID.npz]

Takes what `experiments.detector.calibrate` measured (or `experiments.detector.scenes`). Coverage counts every group as
one photograph drawn from it; that of surveys is of sets of groups drawn from those that made no interval.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from jaxtyping import Float64

from experiments.detector.divisions import DIVISIONS, Fitted, by_group, divided, fit
from experiments.detector.measure import Measured, load
from experiments.detector.scores import histograms
from spotrust_jax.calibration.areas import (
    AreaCalibration,
    Shares,
    area,
    shares_of,
    true_share,
)
from spotrust_jax.calibration.conformal import needed_groups
from spotrust_jax.calibration.surveys import survey_area

_FIT = flags.DEFINE_string("fit", None, "Measured photographs that intervals are made of.", required=True)
_SCORE = flags.DEFINE_string("score", None, "Measured photographs that the intervals are held against.")

_STRUCTURES = (1, 2, 5, 10, 20)
_SURVEYS = 100


class Held(NamedTuple):
    """How often intervals hold.

    Attributes:
        everywhere, small, large: of all photographs, of those below 2% and of those above 20% corroded area.
        width: median of the intervals' widths, as a share of the photograph.
        unscaled: median width of intervals of one reach for all photographs, fitted to the same.
        surveys: of the mean area of so many structures as `_STRUCTURES` has, and the median widths; NaN where the
            groups are fewer.
    """

    everywhere: float
    small: float
    large: float
    width: float
    unscaled: float
    surveys: Float64[np.ndarray, "sizes 2"]


def held(measured: Measured, fitted: Fitted, generator: np.random.Generator) -> Held:
    """How often the true shares of photographs, and of drawn sets of groups, lie in their intervals."""
    pixels = histograms(measured)
    truth = np.array([true_share(one) for one in pixels])
    shares = Shares(*np.array([shares_of(one, fitted.scaling) for one in pixels]).T)
    found = [area(fitted.areas, *map(float, one)) for one in zip(*shares, strict=True)]
    low, high = np.array([[one.low, one.high] for one in found]).T
    inside = (low <= truth) & (truth <= high)
    parts = (np.ones_like(inside), truth < 0.02, truth > 0.2)
    coverage = (by_group(inside, measured.groups, part) for part in parts)
    plain = np.minimum(shares.estimate + fitted.unscaled, 1) - np.maximum(shares.estimate - fitted.unscaled, 0)
    surveys = _surveys(shares, truth, measured.groups, fitted.areas, generator)
    return Held(*coverage, float(np.median(high - low)), float(np.median(plain)), surveys)


def _surveys(
    shares: Shares,
    truth: Float64[np.ndarray, "photographs"],
    groups: Sequence[str],
    calibration: AreaCalibration,
    generator: np.random.Generator,
) -> Float64[np.ndarray, "sizes 2"]:
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    found = np.full((len(_STRUCTURES), 2), np.nan)
    for row, size in zip(found, _STRUCTURES, strict=True):
        if size > len(names):
            continue
        seen = []
        for _ in range(_SURVEYS):
            chosen = np.flatnonzero(np.isin(place, generator.choice(len(names), size, replace=False)))
            part = Shares(shares.estimate[chosen], shares.open[chosen])
            one = survey_area(calibration, part, [groups[i] for i in chosen])
            seen.append((one.low <= truth[chosen].mean() <= one.high, one.high - one.low))
        row[:] = np.mean([inside for inside, _ in seen]), np.median([width for _, width in seen])
    return found


def divisions(measured: Measured) -> list[Held]:
    """Two thirds of the groups make the intervals, the others are held against them, again and again."""
    generator = np.random.default_rng(0)
    return [held(part, fitted, generator) for part, fitted in divided(measured, generator)]


def _print(rows: dict[str, Held]) -> None:
    print("| photographs | held | below 2% corroded | above 20% | median width | unscaled |\n|---|---|---|---|---|---|")
    for name, one in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in one[:5])} |")
    print(f"\n| surveys of structures | {' | '.join(map(str, _STRUCTURES))} |\n|---|{'---|' * len(_STRUCTURES)}")
    for name, one in rows.items():
        print(f"| {name} | {' | '.join(f'{inside:.3f}, width {width:.3f}' for inside, width in one.surveys)} |")


def main(_: list[str]) -> None:
    """Prints the calibration and tables."""
    fitted = load(Path(_FIT.value))
    made = fit(fitted)
    print(f"{dataclasses.asdict(made.areas)}, of {needed_groups(1 - made.areas.level)} groups or more\n")
    each = divisions(fitted)
    means = Held(*(np.nanmean([one[field] for one in each], axis=0) for field in range(len(Held._fields))))
    rows = {f"{DIVISIONS} divisions by group": means}
    if _SCORE.value:
        scored = load(Path(_SCORE.value))
        rows[f"{len(scored.names)} others, {len(set(scored.groups))} groups"] = held(
            scored, made, np.random.default_rng(0)
        )
    _print(rows)


if __name__ == "__main__":
    app.run(main)
