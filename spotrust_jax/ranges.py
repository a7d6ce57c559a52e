"""Ranges of the numbers in configurations: declared with the type of a field, checked when a configuration is made."""

import dataclasses
import functools
import math
import reprlib
import sys
import typing
from typing import Annotated, Any

from spotrust_jax.errors import InputError

LARGEST_WHOLE = 2**31 - 1
"""Whole numbers end here unless less is declared: what counts, on devices and in files, has 32 bits."""


class _Shown(reprlib.Repr):
    """Values in errors: a damaged file may hold anything, and Python writes no number of more than 4300 digits."""

    maxstring = maxother = 80

    def repr_int(self, number: int, level: int) -> str:
        return repr(number) if is_finite(number) and abs(number) < 10**20 else f"about 2**{number.bit_length() - 1}"


def is_finite(number: int | float) -> bool:
    """Whether a number is one that a float may have; a whole number beyond would make most functions fail."""
    return -sys.float_info.max <= number <= sys.float_info.max


@dataclasses.dataclass(frozen=True)
class Range:
    """Which values a number may have, or each number of a tuple: finite ones within limits.

    Attributes:
        least, most: the limits.
        above, below: whether the limit itself is left out, of the lower and of the upper end.
        what: it is, for errors.
        rising: whether the field is a smallest and a largest value.
    """

    least: int | float = -math.inf
    most: int | float = math.inf
    above: bool = False
    below: bool = False
    what: str = "a number"
    rising: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a field may have this value."""
        numbers = value if isinstance(value, tuple) else (value,)
        return all(map(self._holds, numbers)) and (not self.rising or numbers[0] <= numbers[1])

    def _holds(self, number: int | float) -> bool:
        from_below = number > self.least if self.above else number >= self.least
        from_above = number < self.most if self.below else number <= self.most
        return is_finite(number) and from_below and from_above

    def __str__(self) -> str:
        """What to give."""
        what = "a smallest and a largest" if self.rising else self.what
        start = f"{what} {'above' if self.above else 'from'} {self.least:g}"
        if math.isinf(self.most):
            return start if self.above else f"{start} up"
        if self.most == LARGEST_WHOLE:
            return f"{start} up to {self.most}"
        end = f"below {self.most:g}" if self.below else f"{self.most:g}"
        if self.above:
            return f"{start} and {end}" if self.below else f"{start} and up to {end}"
        return f"{start} to {end}"


Count = Annotated[int, Range(1, LARGEST_WHOLE, what="a whole number")]
Several = Annotated[int, Range(0, LARGEST_WHOLE, what="a whole number")]
Positive = Annotated[float, Range(0, above=True, what="a finite number")]
NotNegative = Annotated[float, Range(0, what="a finite number")]
Probability = Annotated[float, Range(0, 1, what="a probability")]
BelowOne = Annotated[float, Range(0, 1, below=True)]


class Ranged:
    """Base of configurations whose fields declare ranges, in a `section` of the whole, such as "loss"."""

    _prefix = ""

    def __init_subclass__(cls, section: str = "", **options: Any):
        super().__init_subclass__(**options)
        cls._prefix = f"{section}." if section else ""

    def __post_init__(self) -> None:
        """Raises an `InputError` for the first number that is out of its range."""
        for name, declared in ranges_of(type(self)).items():
            value = getattr(self, name)
            if not declared.allows(value):
                raise InputError(f"{self._prefix}{name} is {shown(value)}: give {declared}")


shown = _Shown().repr
"""A value as errors show it, however long or large it is."""


@functools.lru_cache
def ranges_of(kind: type) -> dict[str, Range]:
    """The declared ranges of a configuration's fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    declared = ((name, one) for name, hint in hints.items() for one in getattr(hint, "__metadata__", ()))
    return {name: one for name, one in declared if isinstance(one, Range)}
