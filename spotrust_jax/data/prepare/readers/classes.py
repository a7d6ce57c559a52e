"""Which of a source's classes are corrosion, by the words of their names; the readers know how they are stored.

Where the words leave it open, the program asks.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spotrust_jax.errors import InputError

_BACKGROUND = frozenset({"background", "unlabeled", "unlabelled"})
_CORROSION = frozenset(
    {"corrosion", "corrosions", "corroded", "corroding", "rust", "rusts", "rusted", "rusty", "rusting"}
)

# Beside "rust" they leave open whether rust is seen, as negations do in "rust without pitting".
_OPEN_WORDS = """
    absent almost and anti candidate clean cleaned coat coated coating color colored colour coloured converter false
    former free gone inhibited inhibitor like maybe near never no non none not or other painted possible possibly
    potential preventer prevention primer proof protected protection protective removed remover removal repaired
    resistance resistant suspected treated treatment un uncertain unknown unsure vs without zero
"""
_OPEN = frozenset(_OPEN_WORDS.split())
_DENIAL = re.compile(
    r"\b(?:(?:no|non|not|without|anti|un|zero) (?:{0})|(?:{0}) free|free (?:of|from) (?:{0}))\b".format(
        "|".join(_CORROSION)
    )
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_GLUED = re.compile(r"(?:un|no|non|not|anti|without)(?:corro\w+|rust\w*)|(?:corro\w+|rust)(?:free|less)")
_OTHER_WORDS = re.compile(r"\w*(?:[ctf]|th)rust\w*|rustic\w*|rustl\w+")  # crust, trust, thruster, frustum, rustle
_PARTLY = re.compile(r"corro[ds]|rust")

_REMEDY = "say which are corrosion with --corrosion_classes=NAME or NUMBER, several with commas"


class ClassLabel(NamedTuple):
    """A class as the source calls it; labelme's have no number."""

    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None or self.name == str(self.number) else f"{self.name} ({self.number})"


def class_label(name: str, number: int | None = None) -> ClassLabel:
    """A class whose name has its accents composed, its spaces single, and nothing that cannot be seen."""
    seen = "".join(letter for letter in unicodedata.normalize("NFC", name) if unicodedata.category(letter) != "Cf")
    return ClassLabel(" ".join(seen.split()), number)


def in_order(labels: Iterable[ClassLabel]) -> tuple[ClassLabel, ...]:
    """Each class once, by number and then by name."""
    return tuple(sorted(set(labels), key=lambda label: (label.number is None, label.number or 0, label.name)))


def corrosion_classes_of(
    existing: Iterable[ClassLabel], wanted: tuple[str, ...], source: object
) -> frozenset[ClassLabel]:
    """The classes that count as corrosion, of those that `class_label` made; `source` is named in errors.

    They are those `wanted` by name, in any case, or by number. Without a wish they are those that are named corrosion
    or rust, by whole words and without a negation. An `InputError` says which classes exist: where a wish is not among
    them, where none is named corrosion or rust, and where a name leaves it open.
    """
    existing = in_order(existing)
    if not existing:
        return frozenset()
    if wanted:
        return frozenset().union(*(_matches(existing, wish, source) for wish in wanted))
    foreground = [label for label in existing if _key(label.name).strip("_") not in _BACKGROUND]
    if doubtful := [label for label in foreground if _is_corrosion(label.name) is None]:
        verb = "leave" if len(doubtful) > 1 else "leaves"
        reason = f"of which {_listed(doubtful)} {verb} open whether it is corrosion"
        raise InputError(f"{source} has the classes {_listed(existing)}, {reason}: {_REMEDY}")
    corroded = frozenset(label for label in foreground if _is_corrosion(label.name))
    if foreground and not corroded:
        raise InputError(f"{source} has the classes {_listed(existing)} and none is named corrosion or rust: {_REMEDY}")
    return corroded


def _is_corrosion(name: str) -> bool | None:
    """Whether a class of this name is corrosion; None where its words leave that open."""
    words = [_key(word) for word in _WORD.findall(_without_accents(name))]
    if not _CORROSION.intersection(words):
        glued = [word for word in words if _PARTLY.search(word) and not _OTHER_WORDS.fullmatch(word)]
        return False if all(_GLUED.fullmatch(word) for word in glued) else None
    rest, denials = _DENIAL.subn("", " ".join(words))
    left = set(rest.split())
    several = not _CORROSION.issuperset(left) and re.search(r"[&+/|]", name)
    if several or "?" in name or _OPEN.intersection(left) or (denials and _CORROSION.intersection(left)):
        return None
    return not denials


def _matches(existing: Sequence[ClassLabel], wish: str, source: object) -> frozenset[ClassLabel]:
    by_name = frozenset(label for label in existing if _key(label.name) == _key(wish))
    by_number = frozenset(
        label for label in existing if wish.isdecimal() and str(label.number) == wish.lstrip("0").zfill(1)
    )
    if not (by_name or by_number):
        raise InputError(f"{source} has no class {wish!r}, only {_listed(existing)}: change --corrosion_classes")
    return by_name or by_number


def _key(name: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFKC", class_label(name).name).casefold()


def _without_accents(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))


def _listed(labels: Sequence[ClassLabel]) -> str:
    shown = ", ".join(str(label) for label in labels[:30])
    return shown if len(labels) <= 30 else f"{shown}, ... ({len(labels)} in all)"
