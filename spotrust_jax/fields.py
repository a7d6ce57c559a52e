"""Fields of configurations: ranges declared with their types, strict reading from dictionaries, and descriptions.

The configurations themselves are elsewhere: those of runs in `config.py`, those of models in `checkpoints.py`.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import json
import math
import reprlib
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, cast

from spotrust_jax.errors import InputError

LARGEST_INT = 2**31 - 1
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
        numbers = list(value) if isinstance(value, tuple) else [value]
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
        if self.most == LARGEST_INT:
            return f"{start} up to {self.most}"
        end = f"below {self.most:g}" if self.below else f"{self.most:g}"
        if self.above:
            return f"{start} and {end}" if self.below else f"{start} and up to {end}"
        return f"{start} to {end}"


PositiveInt = Annotated[int, Range(1, LARGEST_INT, what="a whole number")]
NonNegativeInt = Annotated[int, Range(0, LARGEST_INT, what="a whole number")]
PositiveFloat = Annotated[float, Range(0, above=True, what="a finite number")]
NonNegativeFloat = Annotated[float, Range(0, what="a finite number")]
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


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a configuration."""
    return dataclasses.asdict(config)


def from_dict(kind: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """The data class `kind` from a nested dictionary; lists become tuples, missing fields keep their defaults.

    Raises:
        InputError: for a field that does not exist (naming the nearest), or a value of another type.
    """
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise InputError(f"{where}.{name} does not exist{_nearest(name, list(hints))}")
    for field in dataclasses.fields(kind):
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}.{field.name} is missing: give a value")
    return kind(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def read_config_file(kind: type, path: Path, *, what: str, version: int) -> Any:
    """The data class `kind` from a JSON file that belongs to a `what`, and whose field `format` says `version`.

    Raises:
        InputError: where the file cannot be read, is of another version, or has a field that `kind` does not allow.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): the {what} is damaged, give another") from error
    if not isinstance(values, dict) or values.get("format") != version:
        raise InputError(f"{path} is not of {what} format {version}: use the version of this program that wrote it")
    try:
        return from_dict(kind, values, what)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def require_field(kind: type, path: str) -> None:
    """Raises an `InputError` that names the nearest field unless `path`, such as "config.model.preset", is a field."""
    where, *names = path.split(".")
    for name in names:
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        # An index into a tuple, as in augmentation.crop_size[0], is checked where it is set.
        name, index, _ = name.partition("[")
        if name not in hints:
            raise InputError(f"{where}.{name} does not exist{_nearest(name, list(hints))}")
        if index and isinstance(hints[name], UnionType):
            raise InputError(f"{where}.{name} has no single values to set: give all, --{where}.{name}='(R, G, B)'")
        kind, where = hints[name], f"{where}.{name}"


def _nearest(name: str, names: list[str]) -> str:
    """Ending of a sentence that says which name was probably meant."""
    close = difflib.get_close_matches(name, names, n=1)
    if close or not names:
        return f": did you mean {close[0]}?" if close else ""
    return f": choose one of {', '.join(names)}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`, or an error."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {shown(value)}: give a section of fields")
        return from_dict(hint, value, where)
    if isinstance(hint, UnionType):  # Channels
        given, _ = typing.get_args(hint)
        return () if value in ((), []) else _convert(given, value, where)
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            raise InputError(f"{where} is {shown(value)}: choose one of {', '.join(map(repr, typing.get_args(hint)))}")
        return value
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where} is {shown(value)}: give a number that is not as large") from None
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where} is {shown(value)}: give a value of type {hint.__name__}")
    return value


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where} is {shown(value)}: give a list")
        kinds = kinds[:1] * len(value)
    if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
        raise InputError(f"{where} is {shown(value)}: give {len(kinds)} values")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


class Field(NamedTuple):
    """A field of a configuration as its documentation shows it.

    Attributes:
        path: such as "model.preset".
        default: as a config file writes it.
        values: the values that are allowed, in words.
        meaning: the docstring below the field.
    """

    path: str
    default: str
    values: str
    meaning: str


def describe(config: Any, prefix: str = "") -> Iterator[Field]:
    """Every field of a configuration with its present value as the default: its own first, then those of sections."""
    meanings, hints = docstrings(type(config)), typing.get_type_hints(type(config), include_extras=True)
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    sections = [name for name, value in values.items() if dataclasses.is_dataclass(value)]
    for name in (name for name in values if name not in sections):
        yield Field(f"{prefix}{name}", _quoted(values[name]), _in_words(hints[name]), meanings[name])
    for name in sections:
        yield from describe(values[name], f"{prefix}{name}.")


@functools.lru_cache
def docstrings(kind: type) -> dict[str, str]:
    """The docstring below each field of a data class, in one line; Python itself does not keep them."""
    definition = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0])
    found = {}
    for pair in itertools.pairwise(definition.body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _in_words(hint: Any) -> str:
    """The values that a field of this type may have."""
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    declared = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Range)]
    if isinstance(plain, UnionType):
        return f"{declared[0]}, or ()"
    if declared:
        return str(declared[0]).removesuffix(f" to {LARGEST_INT}")
    if typing.get_origin(plain) is Literal:
        return ", ".join(map(_quoted, typing.get_args(plain)))
    return {bool: "True or False", str: "text"}[plain]
