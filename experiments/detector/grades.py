"""Sets of grades: how often they hold the true grade of photographs that made no interval, and how large they are.

python -m experiments.detector.grades --measured=OUTPUT/validation_512_ID.npz [--test=OUTPUT/test_512_ID.npz]

Takes what `experiments.detector.calibrate` measured, divides it as `experiments.detector.areas` does and counts every
group as one photograph. Grades are of whole photographs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from experiments.detector.divisions import DIVISIONS, Fitted, by_group, divided, fit
from experiments.detector.measure import Measured, load
from experiments.detector.scores import histograms
from spotrust_jax.calibration.areas import area, shares_of, true_share
from spotrust_jax.grades.assignment import grade, grade_area
from spotrust_jax.grades.standards import STANDARDS, Standard

_MEASURED = flags.DEFINE_string("measured", None, "Measured photographs that intervals are made of.", required=True)
_TEST = flags.DEFINE_string("test", None, "Measured photographs that the sets are compared with.")

# At a long side of 512 and 3 x 4, which most photographs have.
_ANALYSED_PIXELS = 512 * 384


class Coverage(NamedTuple):
    """Of the sets of one standard.

    Attributes:
        everywhere, small, large: how often they hold the true grade: of all photographs, of those below 2% and of those
            above 20% corroded area.
        size: mean number of grades in a set.
        single: share of sets of one grade.
        refused: share of photographs without a set.
    """

    everywhere: float
    small: float
    large: float
    size: float
    single: float
    refused: float


def coverage(measured: Measured, fitted: Fitted, standard: Standard) -> Coverage:
    """Of the sets of photographs whose intervals others made."""
    pixels = histograms(measured)
    truth = np.array([true_share(one) for one in pixels])
    areas = [area(fitted.areas, *shares_of(one, fitted.scaling)) for one in pixels]
    sets = [grade_area(standard, one, judged_pixels=_ANALYSED_PIXELS) for one in areas]
    inside = np.array([grade(standard, share) in one.labels for share, one in zip(truth.tolist(), sets, strict=True)])
    sizes = np.array([len(one.labels) for one in sets])
    graded = sizes > 0
    parts = (graded, graded & (truth < 0.02), graded & (truth > 0.2))
    everywhere, small, large = (by_group(inside, measured.groups, part) for part in parts)
    return Coverage(everywhere, small, large, sizes[graded].mean(), (sizes[graded] == 1).mean(), 1 - graded.mean())


def _print(name: str, found: Sequence[Sequence[Coverage]]) -> None:
    """Means over divisions, standard by standard."""
    print(f"\n{name}\n\n| standard | held | below 2% corroded | above 20% | grades in a set | one grade | refused |")
    print("|---|---|---|---|---|---|---|")
    for i, standard in enumerate(STANDARDS):
        means = np.nanmean([one[i] for one in found], axis=0)
        print(f"| {standard.name} | {' | '.join(f'{value:.3f}' for value in means)} |")


def main(_: list[str]) -> None:
    """Prints a table of divisions, and one of other photographs where they are given."""
    measured = load(Path(_MEASURED.value))
    each = [
        [coverage(part, made, one) for one in STANDARDS] for part, made in divided(measured, np.random.default_rng(0))
    ]
    _print(f"{DIVISIONS} divisions by group", each)
    if _TEST.value:
        others, made = load(Path(_TEST.value)), fit(measured)
        _print(f"{len(others.names)} others", [[coverage(others, made, one) for one in STANDARDS]])


if __name__ == "__main__":
    app.run(main)
