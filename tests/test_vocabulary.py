"""Names and texts use the field's words, and one name means one thing."""

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Words that the project once had for itself, and what the field calls each.
WORDS = {
    r"\bunlike\b|\bUnlike\b|unlike_|_unlike|\bother things\b": "out of distribution (data), novelty (score)",
    r"\bchances?\b|_chance\b|_chance_|\bchance_": "randomness, noise, sampling, probability",
    r"hypes|Hypes": "reference config",
    r"affine_calibration|AffineCalibration|[Mm]akes frequencies of": "Platt scaling; calibrates",
    r"prior_deviation|data\.deviation|config\.deviation|statistics\.deviation": "std",
    r"whole_files|whole_folder|\breplacing\(": "atomic files",
    r"look[_ -]?alikes?\b|[Ll]ooks? alike\b": "distractors (scenes), near-duplicates (photographs)",
    r"\btold\b|\bTold\b|_told|\btold_": "says, gets, reports",
    r"extra_pictures": "picture options",
    r"put_back|told_when_full|def in_turn\b|def ways\b|def observe\b": "a verb that says what the function does",
    r"between_members|[Bb]etween the members": "ensemble spread",
    r"\bunsure\b|\bsurest\b|held for uncertain": "uncertain, most certain, classified as uncertain",
    r"torn apart|_torn_|kept whole": "splits, leaks, grouped",
    r"\bbusiness\b|\ba person should know\b|cannot be had of": "a plain statement",
    r"[Pp]asses that draw": "samples, Monte-Carlo samples",
    r"training/(feed|journal|workdir|run_state|programs)\.py|last_layer/cells": "the module's present name",
    r"[Nn]obody can tell": "the class is unknown",
}

# What may have such a word: the paper's own files, a word of class names that users write, this list.
EXCEPTIONS = {
    "hypes.json": r"[\w{}/.]*hypes\.json",
    "spotrust_jax/data/prepare/readers/classes.py": r"\bunsure\b",
}

TEXTS = (".py", ".md", ".js", ".html", ".css", ".sh", ".toml", ".cfg", ".yml", ".yaml", ".cff")


def texts() -> list[Path]:
    """All texts of the repository but the history of changes and this file."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if not any(names):
        pytest.skip("this is no checkout: the files of the repository are not known")
    own = ("CHANGELOG.md", "tests/test_vocabulary.py")
    return [ROOT / name for name in names if name.endswith(TEXTS) and name not in own and (ROOT / name).is_file()]


def test_the_fields_words_are_used():
    wrong = []
    for path in texts():
        name = path.relative_to(ROOT).as_posix()
        allowed = [EXCEPTIONS["hypes.json"], *([EXCEPTIONS[name]] if name in EXCEPTIONS else [])]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            checked = re.sub("|".join(allowed), "", line)
            wrong += [
                f"{name}:{number} has {found[0]!r}: {remedy}"
                for word, remedy in WORDS.items()
                if (found := re.search(word, checked))
            ]
    assert not wrong, "\n".join(wrong)


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for path in sorted([*(ROOT / "spotrust_jax").rglob("*.py"), *(ROOT / "launch").rglob("*.py")]):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    shared = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert not shared, f"one name means one thing: rename one of {shared}"


def test_no_three_modules_have_one_name():
    places = defaultdict(list)
    for path in sorted((ROOT / "spotrust_jax").rglob("*.py")):
        if path.name != "__init__.py":
            places[path.name].append(path.relative_to(ROOT).as_posix())
    shared = {name: paths for name, paths in places.items() if len(paths) > 2}
    assert not shared, f"name these for what is in them: {shared}"
