"""Intervals of corroded areas: what they are made of, and how often they hold for photographs that made none of them.

python -m experiments.detector.areas --fit=OUTPUT/validation_512_ID.npz [--score=OUTPUT/test_512_ID.npz]

Takes what `experiments.detector.calibrate` measured. Coverage counts every group as one photograph drawn from it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from jaxtyping import Bool, Float64

from experiments.detector.measure import Measured, load
from experiments.detector.scores import fit_calibration, histograms
from spotrust_jax.calibration.areas import AreaCalibration, area, fit_areas_to_pixels, shares_of, true_share
from spotrust_jax.calibration.platt import PlattScaling

_FIT = flags.DEFINE_string("fit", None, "Measured photographs that intervals are made of.", required=True)
_SCORE = flags.DEFINE_string("score", None, "Measured photographs that the intervals are held against.")

_DIVISIONS = 50


class Held(NamedTuple):
    """How often intervals hold.

    Attributes:
        everywhere, small, large: of all photographs, of those below 2% and of those above 20% corroded area.
        width: median of the intervals' widths, as a share of the photograph.
    """

    everywhere: float
    small: float
    large: float
    width: float


def held(measured: Measured, calibration: AreaCalibration, scaling: PlattScaling) -> Held:
    """How often the true shares of photographs lie in their intervals."""
    pixels = histograms(measured)
    truth = np.array([true_share(one) for one in pixels])
    found = [area(calibration, *shares_of(one, scaling)) for one in pixels]
    low, high = np.array([[one.low, one.high] for one in found]).T
    inside = (low <= truth) & (truth <= high)
    parts = (np.ones_like(inside), truth < 0.02, truth > 0.2)
    return Held(*(_by_group(inside, measured.groups, part) for part in parts), float(np.median(high - low)))


def divisions(measured: Measured) -> list[Held]:
    """Two thirds of the groups make the intervals, the others are held against them, again and again."""
    names, place = np.unique(np.asarray(measured.groups), return_inverse=True)
    generator, found = np.random.default_rng(0), []
    for _ in range(_DIVISIONS):
        fits = (generator.permutation(len(names)) < 2 * len(names) // 3)[place]
        rest, part = measured.chosen(fits), measured.chosen(~fits)
        calibration = fit_areas_to_pixels(histograms(rest), rest.groups, 1.0)
        found.append(held(part, calibration, fit_calibration(rest, np.ones(len(rest.names)))))
    return found


def _by_group(
    inside: Bool[np.ndarray, "photographs"], groups: Sequence[str], part: Bool[np.ndarray, "photographs"]
) -> float:
    if not part.any():
        return float("nan")
    _, place, counts = np.unique(np.asarray(groups)[part], return_inverse=True, return_counts=True)
    weights: Float64[np.ndarray, "part"] = 1 / counts[place]
    return float((inside[part] * weights).sum() / weights.sum())


def main(_: list[str]) -> None:
    """Prints the calibration and a table."""
    fitted = load(Path(_FIT.value))
    calibration = fit_areas_to_pixels(histograms(fitted), fitted.groups, 1.0)
    print(
        f"{calibration}\n\n| photographs | held | below 2% corroded | above 20% | median width |\n|---|---|---|---|---|"
    )
    many = np.array(divisions(fitted))
    print(f"| {_DIVISIONS} divisions by group | {' | '.join(f'{value:.3f}' for value in np.nanmean(many, axis=0))} |")
    if _SCORE.value:
        scored, scaling = load(Path(_SCORE.value)), fit_calibration(fitted, np.ones(len(fitted.names)))
        found, groups = held(scored, calibration, scaling), len(set(scored.groups))
        print(f"| {len(scored.names)} others, {groups} groups | {' | '.join(f'{v:.3f}' for v in found)} |")


if __name__ == "__main__":
    app.run(main)
