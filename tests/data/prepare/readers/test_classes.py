"""Which classes are corrosion by their names: whole words, negations, and what is asked for."""

import unicodedata

import pytest

from spotrust_jax.data.prepare.readers.classes import class_label, corrosion_classes_of
from spotrust_jax.errors import InputError

CORROSION = ["Corrosion", "rust", "RUST2", "rust_1", "severeRust", "Pitting Corrosion", "corrosion, fair", "corrosión"]
CORROSION += ["corroded steel", "rusty", "Rust/Corrosion"]
BACKGROUND = [
    "NoCorrosion",
    "NOCORROSION",
    "NoRust",
    "no rust",
    "noncorrosion",
    "non-corroded",
    "rustfree",
    "rust free",
]
BACKGROUND += ["rust-free", "free of rust", "uncorroded", "thruster", "crust", "trust", "frustum", "paint", "0"]
OPEN = [
    "heavyrust",
    "rust?",
    "rust removed",
    "corrosion-resistant",
    "rust without pitting",
    "no visible rust",
    "not no rust",
]
OPEN += ["rust & paint", "corrosive"]


def chosen(*names, wanted=()):
    labels = [class_label(name, number) for number, name in enumerate(names)]
    return {label.name for label in corrosion_classes_of(labels, wanted, "photographs")}


@pytest.mark.parametrize("name", CORROSION)
def test_names_of_corrosion(name):
    assert chosen(name, "deck") == {name}


@pytest.mark.parametrize("name", BACKGROUND)
def test_names_of_something_else(name):
    assert chosen("rust", name) == {"rust"}
    with pytest.raises(InputError, match=r"has the classes .* and none is named corrosion or rust: say which"):
        chosen(name)  # also where it is the only class


@pytest.mark.parametrize("name", OPEN)
def test_names_that_leave_it_open_are_asked_for(name):
    with pytest.raises(
        InputError, match=r"has the classes .*, of which .* leaves open whether it is corrosion: say which"
    ):
        chosen("rust", name)
    assert chosen("rust", name, wanted=("rust",)) == {"rust"}
    assert chosen("rust", name, wanted=(name, "0")) == {"rust", name}


def test_background_alone():
    assert chosen("background", "_background_", "__background__") == set()
    assert chosen(wanted=("rust",)) == set()


def test_spellings_of_one_name():
    names = ["corrosión ", unicodedata.normalize("NFD", "corrosión"), "\u00a0corrosión\u200b", "pintura  azul"]
    assert chosen(*names) == {"corrosión"}
    assert chosen(*names, wanted=("PINTURA azul",)) == {"pintura azul"}
    assert chosen("ｒｕｓｔ", "x", wanted=("rust",)) == {"ｒｕｓｔ"}


def test_wishes():
    assert chosen("a", "b", "7", wanted=("7",)) == {"7"}  # a name goes before a number
    assert chosen("a", "b", "7", wanted=("01",)) == {"b"}
    for wish in ("c", "9" * 5000):
        with pytest.raises(InputError, match=r"photographs has no class .*, only a \(0\), b \(1\): change"):
            chosen("a", "b", wanted=(wish,))
