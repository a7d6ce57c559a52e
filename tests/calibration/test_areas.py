"""Intervals of areas: how often they hold for photographs of new groups, in simulations whose truth is known."""

import numpy as np
import pytest
from scipy.special import expit, logit

from spotrust_jax.calibration.areas import AreaCalibration, Shares, area, fit_areas, fit_areas_to_pixels
from spotrust_jax.errors import InputError
from spotrust_jax.metrics.reliability import probability_histogram


def _photographs(generator, groups):
    """Shares, truths and groups; errors repeat within a group, which has one to nine photographs."""
    names, estimates, opens, truths = [], [], [], []
    for number in range(groups):
        common = generator.normal()
        for _ in range(generator.integers(1, 10)):
            estimate, opened = generator.uniform(0, 0.6), generator.uniform(0, 0.1)
            error = (0.8 * common + 0.6 * generator.normal()) * (opened + 0.002)
            names.append(str(number))
            estimates.append(estimate)
            opens.append(opened)
            truths.append(np.clip(estimate + error, 0, 1))
    return Shares(np.array(estimates), np.array(opens)), np.array(truths), names


@pytest.mark.parametrize("groups", [9, 19, 60])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_hold_for_new_groups(groups, level):
    generator, held = np.random.default_rng(groups), []
    for _ in range(600):
        shares, truth, names = _photographs(generator, groups + 1)
        last = np.array(names) == str(groups)
        calibration = fit_areas(
            Shares(shares.estimate[~last], shares.open[~last]), truth[~last], np.array(names)[~last].tolist(), level
        )
        one = int(np.flatnonzero(last)[0])
        found = area(calibration, float(shares.estimate[one]), float(shares.open[one]))
        held.append(found.low <= truth[one] <= found.high)
    # At least the level, and at most what one group more or less makes of it; three standard errors.
    error = 3 * np.sqrt(level * (1 - level) / len(held))
    assert level - error <= np.mean(held) <= level + 2 / (groups + 1) + error


def test_photographs_alone_would_not_hold():
    # Where each group repeats one error, a quantile over photographs holds too seldom; over groups it holds.
    generator, by_group, by_photograph = np.random.default_rng(0), [], []
    for _ in range(600):
        sizes = generator.permutation(np.where(np.arange(41) < 6, 60, 1))
        errors = np.where(sizes == 60, 0.01, 0.1) * np.abs(generator.normal(size=41))
        names = np.repeat(np.arange(41), sizes)
        truth = np.repeat(errors, sizes)
        nothing, known = np.zeros(len(truth)), names < 40
        shares = Shares(nothing[known], nothing[known])
        for held, groups in ((by_group, names), (by_photograph, np.arange(len(names)))):
            calibration = fit_areas(shares, truth[known], [str(name) for name in groups[known]])
            held.append(truth[-1] <= area(calibration, 0.0, 0.0).high)
    assert np.mean(by_photograph) < 0.75 and np.mean(by_group) > 0.87


def test_ends_are_shares_and_estimate_lies_between():
    calibration = fit_areas(*_photographs(np.random.default_rng(0), 30))
    for estimate in (0.0, 0.001, 0.5, 1.0):
        found = area(calibration, estimate, 0.05)
        assert 0 <= found.low <= found.estimate <= found.high <= 1 and found.level == 0.9


def test_too_few_groups():
    with pytest.raises(InputError, match=r"of 8 groups, and .* 90% need 9: label"):
        fit_areas(*_photographs(np.random.default_rng(0), 8))


def test_too_few_groups_of_pixels():
    one = probability_histogram(np.array([0.2, 0.8]), np.array([False, True]))
    with pytest.raises(InputError, match=r"of 1 groups, and .* 90% need 9: label"):
        fit_areas_to_pixels([one], ["a"], 1.0)


def test_from_pixels_of_photographs_that_are_calibrated():
    # Each group's probabilities are off by a shift of its own, as those of a new place are.
    generator, pixels, groups, held = np.random.default_rng(0), [], [], []

    def photograph(shift):
        p = generator.beta(0.4, 1.2, 4000)
        truth = generator.random(4000) < expit(logit(p) + shift)
        return probability_histogram(p, truth), p, truth.mean()

    for group in range(40):
        shift = generator.normal(0, 0.5)
        for _ in range(3):
            pixels.append(photograph(shift)[0])
            groups.append(str(group))
    calibration = fit_areas_to_pixels(pixels, groups, 1.0)
    for _ in range(1000):
        _, p, share = photograph(generator.normal(0, 0.5))
        found = area(calibration, float(p.mean()), float((p * (1 - p)).mean()))
        held.append(found.low <= share <= found.high)
    # A single calibration set holds within what 40 groups leave open (Vovk 2012), three standard deviations.
    assert abs(np.mean(held) - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 40)


def test_no_interval_without_calibration():
    found = area(AreaCalibration(), 0.2, 0.1)
    assert (found.estimate, found.low, found.high) == (0.2, None, None)
    for damaged in ({"reach": np.nan}, {"reach": -1.0}, {"structure_reach": np.inf}, {"level": 1.0}, {"groups": -1}):
        with pytest.raises(InputError, match="of areas"):
            AreaCalibration(**damaged)
