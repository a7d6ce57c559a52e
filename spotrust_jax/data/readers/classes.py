"""Which of a source's classes are corrosion; how they are stored is each reader's business."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from spotrust_jax.errors import InputError

_BACKGROUND = frozenset({"background", "_background_", "__background__"})
_CORROSION = re.compile("corrosion|rust", re.IGNORECASE)
_NEGATION = re.compile(r"(^|[^a-z])(no|non|not|without|free)([^a-z]|$)", re.IGNORECASE)  # "no rust" is not rust


class ClassLabel(NamedTuple):
    """A class as the source calls it; labelme's have no number."""

    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None or self.name == str(self.number) else f"{self.name} ({self.number})"


def corrosion_classes_of(
    existing: Iterable[ClassLabel], wanted: tuple[str, ...], source: object
) -> frozenset[ClassLabel]:
    """The classes that count as corrosion; `source` is named in errors.

    They are those `wanted` by name, in any case, or by number; without a wish the only class there is, or else all
    whose names contain "corrosion" or "rust". An `InputError` says which classes exist.
    """
    existing = sorted(set(existing), key=lambda label: (label.number is None, label.number or 0, label.name))
    if wanted:
        return frozenset().union(*(_matches(existing, wish, source) for wish in wanted))
    foreground = [label for label in existing if label.name.casefold() not in _BACKGROUND]
    if len({label.name.casefold() for label in foreground}) <= 1:
        return frozenset(foreground)
    corroded = [label for label in foreground if _CORROSION.search(label.name) and not _NEGATION.search(label.name)]
    if not corroded:
        remedy = "say which are corrosion with --corrosion_classes=NAME or NUMBER, several with commas"
        raise InputError(f"{source} has the classes {_listed(existing)} and none is named corrosion or rust: {remedy}")
    return frozenset(corroded)


def _matches(existing: list[ClassLabel], wish: str, source: object) -> frozenset[ClassLabel]:
    by_name = frozenset(label for label in existing if label.name.casefold() == wish.casefold())
    by_number = frozenset(label for label in existing if wish.isdecimal() and label.number == int(wish))
    if not (by_name or by_number):
        raise InputError(f"{source} has no class {wish!r}, only {_listed(existing)}: change --corrosion_classes")
    return by_name or by_number


def _listed(labels: list[ClassLabel]) -> str:
    shown = ", ".join(str(label) for label in labels[:30])
    return (shown or "none at all") if len(labels) <= 30 else f"{shown}, ... ({len(labels)} in all)"
