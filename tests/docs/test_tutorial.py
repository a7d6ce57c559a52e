"""The tutorial's commands and programs, one after the other, with flags that make them small."""

import contextlib
import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from spotrust_jax.checkpoints import CheckpointConfig, save_safetensors
from spotrust_jax.config import ModelConfig
from tests.programs import call
from tests.trained_like import trained_like
from tests.training.small_network import use_it

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
PHOTOGRAPHS = 12

# In place of the shipped detector: three networks with random weights.
MODEL = ModelConfig("deterministic", "w18_small_v2")
START = CheckpointConfig(MODEL, 3, (0.5,) * 3, (0.2,) * 3, 64)

# What is added to each command: later flags replace earlier ones.
SMALL = {
    "draw_scenes": [f"--count={PHOTOGRAPHS}"],
    "predict": [],
    "labels": [],
    "prepare_data": [],
    "train": [
        "--config.fine_tuning.checkpoint=start",
        "--config.data.image_size=64",
        "--config.augmentation.crop_size=(64, 64)",
        "--config.augmentation.blur=0",
        "--config.epochs=2",
        "--config.run.panel_epochs=0",
    ],
    "calibrate": [],
    "evaluate": ["--figures=0"],
}


def blocks() -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


def commands(language: str, text: str) -> list[list[str]]:
    """The commands of a block, with the flags that make them small; `python` and the text of a program."""
    if language == "python":
        return [["python", text]]
    return [_small(*shlex.split(line)) for line in text.replace("\\\n", " ").splitlines() if line]


def _small(program: str, *arguments: str) -> list[str]:
    if program == "rm":
        return ["python", f"import os\nos.remove({arguments[0]!r})"]
    assert program == "spotrust"
    name, *flags = arguments
    # The shipped detector is what is taken where none is named.
    detector = [] if name != "predict" or any("--checkpoint" in flag for flag in flags) else ["--checkpoint=start"]
    return [name, *flags, *SMALL[name], *detector]


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """The folder that the tutorial is worked through in, after its last block, and what was printed."""
    folder, printed = tmp_path_factory.mktemp("tutorial"), []
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        patch.chdir(folder)
        save_safetensors(folder / "start", trained_like(MODEL, 3), START)
        for name, *arguments in [command for block in blocks() for command in commands(*block)]:
            printed.append(_run(name, arguments, folder))
    return folder, "".join(printed)


def _run(name: str, arguments: list[str], folder: Path) -> str:
    if name == "python":
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(arguments[0], {"__name__": "__main__"})
        return printed.getvalue()
    outcome = call(name, arguments, folder)
    assert outcome.code == 0, outcome.stderr
    return outcome.stdout


def test_commands_are_those_that_the_test_makes_small():
    programs = {command[0] for block in blocks() for command in commands(*block)}
    assert programs == {"python", *SMALL}


def test_every_photograph_ends_with_a_decision(tutorial):
    _, printed = tutorial
    words = "inspect first|look at the photograph|next routine inspection"
    decided = re.findall(rf"^(test_\d{{4}}): [\d.]+% to [\d.]+% corroded, (?:{words})$", printed, re.MULTILINE)
    assert sorted(decided) == [f"test_{number:04}" for number in range(PHOTOGRAPHS)]
    assert re.search(r"^[\d.]+% corroded, epistemic uncertainty up to 0\.\d\d$", printed, re.MULTILINE)


def test_photographs_have_one_part_in_the_model(tutorial):
    folder, _ = tutorial
    record = json.loads((folder / "runs/survey/best/config.json").read_text())
    trained, calibrated = (set(record[kind]["names"]) for kind in ("trained_on", "calibrated_on"))
    with (folder / "runs/survey/scores/per_image.csv").open() as file:
        scored = {row["image"] for row in csv.DictReader(file)}
    assert trained and calibrated and scored
    assert len(trained | calibrated | scored) == len(trained) + len(calibrated) + len(scored) == PHOTOGRAPHS


def test_files_that_the_tutorial_names_are_there(tutorial):
    folder, _ = tutorial
    for path in ("maps/report.html", "maps/summary.csv", "final/report.html", "runs/survey/scores/table.md"):
        assert (folder / path).is_file()
    for ending in ("mask.png", "overlay.png", "epistemic.png", "aleatoric.png", "maps.npz"):
        assert (folder / f"maps/test_0000_{ending}").is_file()
    assert len(list((folder / "labels").glob("*.json"))) == PHOTOGRAPHS
