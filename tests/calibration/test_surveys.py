"""Intervals of the mean area of many photographs: how often they hold for new structures, in simulation."""

import numpy as np
import pytest

from spotrust_jax.calibration.areas import AreaCalibration, Shares, area, fit_areas
from spotrust_jax.calibration.surveys import survey_area
from spotrust_jax.errors import InputError


def _structures(generator, count, heavy):
    """Shares, truths and structures of one to nine photographs; half of the squared error is common to a structure."""
    names = np.repeat(np.arange(count), generator.integers(1, 10, count))
    estimate, opened = generator.uniform(0, 0.6, len(names)), generator.uniform(0, 0.1, len(names))
    draw = (lambda n: generator.standard_t(4, n) / np.sqrt(2)) if heavy else generator.standard_normal
    error = np.sqrt(0.5) * (draw(count)[names] + draw(len(names))) * opened * 0.5
    return Shares(estimate, opened), np.clip(estimate + error, 0, 1), names.astype(str).tolist()


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy tails"])
@pytest.mark.parametrize(("calibrating", "structures"), [(9, 1), (9, 4), (30, 2), (30, 30), (80, 1), (80, 10)])
def test_intervals_hold_for_new_structures(calibrating, structures, heavy):
    generator, held = np.random.default_rng(0), []
    for _ in range(500):
        calibration = fit_areas(*_structures(generator, calibrating, heavy))
        shares, truth, names = _structures(generator, structures, heavy)
        found = survey_area(calibration, shares, names)
        held.append(found.low <= truth.mean() <= found.high)
    # Three standard errors; of one structure also what one group of the calibration more or less makes of it.
    error = 3 * np.sqrt(0.9 * 0.1 / len(held))
    assert 0.9 - error <= np.mean(held) <= 0.94 + error + (2 / (calibrating + 1) if structures == 1 else 0)


def test_more_structures_are_known_better_than_one():
    generator = np.random.default_rng(0)
    calibration = fit_areas(*_structures(generator, 50, False))
    shares, _, names = _structures(generator, 40, False)
    survey, alone = survey_area(calibration, shares, names), survey_area(calibration, shares, ["one"] * len(names))
    photograph = area(calibration, float(shares.estimate.mean()), float(shares.open.mean()))
    assert survey.estimate == alone.estimate == pytest.approx(shares.estimate.mean())
    assert survey.high - survey.low < 0.5 * (alone.high - alone.low) < 0.5 * (photograph.high - photograph.low)


def test_a_survey_of_one_photograph_is_a_structure():
    calibration = AreaCalibration(reach=0.3, structure_reach=0.4, groups=20, structure_error=0.2)
    one = Shares(np.array([0.3]), np.array([0.05]))
    assert survey_area(calibration, one, ["a"]) == area(AreaCalibration(reach=0.4, groups=20), 0.3, 0.05)


def test_no_interval_without_calibration_and_no_survey_of_nothing():
    shares = Shares(np.array([0.1, 0.3]), np.array([0.02, 0.04]))
    assert survey_area(AreaCalibration(), shares, ["a", "b"])[1:3] == (None, None)
    with pytest.raises(InputError, match="no photograph with an area"):
        survey_area(AreaCalibration(), Shares(np.zeros(0), np.zeros(0)), [])
