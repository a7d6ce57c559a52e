"""Class limits against the tables of the standards, at, just below and just above each limit."""

import math

import pytest

from spotrust_jax.errors import InputError
from spotrust_jax.grades.assignment import grade
from spotrust_jax.grades.standards import ASTM_D610, IMO_1330, IMO_1399, ISO_4628_3, ISO_4628_3_NOT_ABOVE, STANDARDS

# Percent, and the grades just below, at and just above it.
LIMITS = [
    (ASTM_D610, 0.01, "10", "10", "9"),
    (ASTM_D610, 0.03, "9", "9", "8"),
    (ASTM_D610, 0.1, "8", "8", "7"),
    (ASTM_D610, 0.3, "7", "7", "6"),
    (ASTM_D610, 1, "6", "6", "5"),
    (ASTM_D610, 3, "5", "5", "4"),
    (ASTM_D610, 10, "4", "4", "3"),
    (ASTM_D610, 16, "3", "3", "2"),
    (ASTM_D610, 33, "2", "2", "1"),
    (ASTM_D610, 50, "1", "1", "0"),
    (IMO_1330, 3, "GOOD", "FAIR", "FAIR"),
    (IMO_1330, 20, "FAIR", "FAIR", "POOR"),
    (IMO_1399, 5, "GOOD", "FAIR", "FAIR"),
    (IMO_1399, 20, "FAIR", "POOR", "POOR"),
    (ISO_4628_3_NOT_ABOVE, 0.05, "Ri 1", "Ri 1", "Ri 2"),
    (ISO_4628_3_NOT_ABOVE, 0.5, "Ri 2", "Ri 2", "Ri 3"),
    (ISO_4628_3_NOT_ABOVE, 1, "Ri 3", "Ri 3", "Ri 4"),
    (ISO_4628_3_NOT_ABOVE, 8, "Ri 4", "Ri 4", "Ri 5"),
]


@pytest.mark.parametrize(("standard", "percent", "below", "at", "above"), LIMITS)
def test_limits(standard, percent, below, at, above):
    share = percent / 100
    found = [grade(standard, value) for value in (math.nextafter(share, 0), share, math.nextafter(share, 1))]
    assert found == [below, at, above]


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 0), (0.05, 1), (0.5, 2), (1, 3), (8, 4), (40, 5), (50, 5), (100, 5)]
)
def test_reference_pictures_have_their_own_degree(percent, expected):
    assert grade(ISO_4628_3, percent / 100) == f"Ri {expected}"


@pytest.mark.parametrize("percent", [0.02, 0.1, 0.2, 0.6, 0.8, 2, 4, 12, 25])
def test_nearest_on_a_log_scale(percent):
    pictures = {1: 0.05, 2: 0.5, 3: 1.0, 4: 8.0, 5: math.sqrt(40 * 50)}
    nearest = min(pictures, key=lambda i: abs(math.log(percent / pictures[i])))
    assert grade(ISO_4628_3, percent / 100) == f"Ri {nearest}"


def test_the_two_rules_differ_between_pictures():
    assert (grade(ISO_4628_3, 0.006), grade(ISO_4628_3_NOT_ABOVE, 0.006)) == ("Ri 2", "Ri 3")
    assert grade(ISO_4628_3_NOT_ABOVE, 0.0) == "Ri 0"


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_classes_rise_to_the_whole(standard):
    limits = [one.limit for one in standard.classes]
    assert limits == sorted(set(limits)) and limits[-1] == 1.0
    assert grade(standard, 0.0) == standard.classes[0].label and grade(standard, 1.0) == standard.classes[-1].label
    assert standard.source and standard.rule


@pytest.mark.parametrize("share", [-0.01, 1.01, math.nan])
def test_no_share(share):
    with pytest.raises(InputError, match="give a number from 0 to 1"):
        grade(ASTM_D610, share)
