"""Sets of grades: they hold the true grade whenever the interval holds the share, and say what pixels cannot carry."""

import numpy as np
import pytest

from spotrust_jax.errors import InputError
from spotrust_jax.grades.assignment import grade, grade_set, needed_pixels
from spotrust_jax.grades.standards import ASTM_D610, IMO_1330, STANDARDS

MANY = 10**9


def test_set_in_words():
    assert str(grade_set(ASTM_D610, 0.02, 0.04, level=0.9, judged_pixels=MANY)) == "ASTM D610 5 or 4, 90%"
    assert grade_set(IMO_1330, 0.01, 0.25, level=0.9, judged_pixels=MANY).labels == ("GOOD", "FAIR", "POOR")
    assert grade_set(IMO_1330, 0.1, 0.1, level=0.9, judged_pixels=MANY).labels == ("FAIR",)


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_set_holds_the_grades_of_all_shares_between(standard):
    generator = np.random.default_rng(0)
    # 4,000 shares a decade, graded once, and the ends of each interval.
    shares = np.geomspace(1e-5, 1, 20_001)
    grades = np.array([grade(standard, min(float(share), 1.0)) for share in shares])
    for _ in range(300):
        low, high = np.sort(10 ** generator.uniform(-5, 0, 2)).tolist()
        found = grade_set(standard, low, high, level=0.9, judged_pixels=MANY).labels
        inside = grades[(low < shares) & (shares < high)]
        assert {grade(standard, low), grade(standard, high), *inside.tolist()} == set(found)


def test_grades_that_pixels_cannot_carry_are_refused():
    # 0.01% of 400 x 400 pixels are 16 pixels, one spot.
    assert needed_pixels(0.0001) == 160_000
    for pixels, refused in ((160_000, False), (159_999, True)):
        for interval in ((0.0, 0.00005), (0.0002, 0.0002)):
            found = grade_set(ASTM_D610, *interval, level=0.9, judged_pixels=pixels)
            assert (found.refusal is not None) is refused and bool(found.labels) is not refused
    assert "it takes 160000 judged pixels and there are 159999" in str(found) or not refused
    # 3% and 10% can be distinguished in far fewer.
    assert grade_set(ASTM_D610, 0.05, 0.05, level=0.9, judged_pixels=2000).labels == ("4",)


def test_nothing_to_judge():
    found = grade_set(ASTM_D610, 0.0, 1.0, level=0.9, judged_pixels=0)
    assert not found.labels and "no pixel is judged" in str(found)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.2), (-0.1, 0.2), (0.0, 1.2)])
def test_no_interval(low, high):
    with pytest.raises(InputError, match="give"):
        grade_set(ASTM_D610, low, high, level=0.9, judged_pixels=MANY)
