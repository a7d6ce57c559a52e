"""The grades that a corroded share may have, given how sure it is and how many pixels it was seen in."""

import math
from typing import NamedTuple

from spotrust_jax.calibration.areas import Area
from spotrust_jax.errors import InputError
from spotrust_jax.grades.standards import Standard

SMALLEST_SPOT = 16
"""Pixels of the smallest spot that counts as seen: one cell of the network's output, 4 x 4 pixels of its input."""

OR = " or "
"""Between the grades of a set in words."""


class GradeSet(NamedTuple):
    """What a photograph says about a grade.

    Attributes:
        standard: its name.
        labels: the grades that the share may have, the best first; empty where there is no grade.
        level: probability, 0 to 1, with which the interval that the grades come from holds the share.
        refusal: why there is no grade, in a sentence with the remedy; None where there is one.
    """

    standard: str
    labels: tuple[str, ...]
    level: float
    refusal: str | None = None

    @property
    def text(self) -> str:
        """The grades in words, "5 or 4"; empty where there is none."""
        return OR.join(self.labels)

    def __str__(self) -> str:
        if self.refusal is not None:
            return f"{self.standard}: {self.refusal}"
        return f"{self.standard} {self.text}, {self.level:.0%}"


def grade(standard: Standard, share: float) -> str:
    """The grade of a share that is known exactly.

    Raises:
        InputError: where `share` is no number from 0 to 1.
    """
    _require_share("share", share)
    return standard.classes[_place(standard, share)].label


def grade_area(standard: Standard, area: Area, *, judged_pixels: int) -> GradeSet:
    """The grades of a corroded share with its interval, or why there are none.

    Args:
        standard: whose grades.
        area: of what is judged.
        judged_pixels: as of `grade_set`.
    """
    if area.low is None or area.high is None:
        reason = "the model's areas have no interval, from which grades come: calibrate it with spotrust calibrate"
        return GradeSet(standard.name, (), area.level, reason)
    return grade_set(standard, area.low, area.high, level=area.level, judged_pixels=judged_pixels)


def grade_set(standard: Standard, low: float, high: float, *, level: float, judged_pixels: int) -> GradeSet:
    """All grades that some share from `low` to `high` has, which hold the true grade whenever the interval does.

    Args:
        standard: whose grades.
        low: lower end of the interval of the corroded share of what is judged, 0 to 1.
        high: its upper end.
        level: probability with which the interval holds the share.
        judged_pixels: pixels that were judged, at the size at which the network saw them.

    Raises:
        InputError: where `low`, `high` or `level` are no numbers from 0 to 1, or `low` is above `high`.
    """
    for name, value in (("low", low), ("high", high), ("level", level)):
        _require_share(name, value)
    if low > high:
        raise InputError(f"low is {low} and high is {high}: give the lower end first")
    if judged_pixels < 1:
        return GradeSet(standard.name, (), level, "no pixel is judged: draw a region that the photograph shows")
    first, last = _place(standard, low), _place(standard, high)
    labels = tuple(one.label for one in standard.classes[first : last + 1])
    # Grades apart by less than one spot cannot be distinguished.
    finest = standard.classes[max(last - 1, 0)].limit
    needed = needed_pixels(finest)
    if needed is None or judged_pixels >= needed:
        return GradeSet(standard.name, labels, level)
    remedy = f"it takes {needed} judged pixels and there are {judged_pixels}: analyse at a larger --scale or go nearer"
    return GradeSet(standard.name, (), level, f"{labels[-1]} needs shares of {finest:.2%} to be seen; {remedy}")


def needed_pixels(share: float) -> int | None:
    """Judged pixels in which one spot is not more than `share`; None for a share of 0, which asks for nothing."""
    return math.ceil(SMALLEST_SPOT / share) if share > 0 else None


def _place(standard: Standard, share: float) -> int:
    return next(i for i, one in enumerate(standard.classes) if one.holds(share))


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}: give a number from 0 to 1")
