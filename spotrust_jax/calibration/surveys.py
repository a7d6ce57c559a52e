"""The corroded area of many photographs together: of a structure, and of a survey of several.

Errors repeat within a structure and not beyond it, so the area of a survey is known better than that of a photograph,
but by its number of structures and not of photographs.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from spotrust_jax.calibration.areas import Area, AreaCalibration, Shares, interval
from spotrust_jax.errors import InputError


def survey_area(calibration: AreaCalibration, shares: Shares, structures: Sequence[str]) -> Area:
    """The mean corroded share of photographs that count the same each, with its interval.

    Of one structure the interval is conformal: it holds for a structure that is exchangeable with the groups of the
    calibration, as often as it says and whatever the distribution of errors. Of several, S_h the sum of the expected
    errors of the photographs of structure h and S that of all, it is Student's prediction interval with the variance
    sum(S_h**2) + S**2 / groups (in units of the groups' mean squared error); the last term is what the groups of the
    calibration leave unknown of a common error. It takes the errors of structures for independent and not too far from
    normal; tests and `python -m experiments.detector.areas` measure how often it holds.

    Args:
        calibration: of the model.
        shares: of all photographs.
        structures: what each photograph is of. All of one name where it is not known: a wider interval.

    Raises:
        InputError: where there is no photograph.
    """
    if len(structures) == 0:
        raise InputError("the survey has no photograph with an area: give one or more")
    estimate, expected = float(shares.estimate.mean()), shares.expected_error / len(structures)
    if not calibration.groups:
        return Area(estimate, None, None, calibration.level)
    _, place = np.unique(np.asarray(structures), return_inverse=True)
    of_structures = np.bincount(place, expected)
    total = float(of_structures.sum())
    if len(of_structures) == 1:
        return interval(estimate, calibration.structure_reach * total, calibration.level)
    spread = calibration.structure_error * np.sqrt((of_structures**2).sum() + total**2 / calibration.groups)
    reach = t.ppf((1 + calibration.level) / 2, calibration.groups)
    return interval(estimate, float(reach * spread), calibration.level)
