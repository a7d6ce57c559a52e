"""The tutorial's commands and programs, one after the other, with flags that make them small."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compilation import xla_flags

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TUTORIAL = REPOSITORY / "docs" / "tutorial.md"

# What is added to each command: later flags replace earlier ones.
SMALL = {
    "draw_scenes": ["--count=12"],
    "predict": ["--num_samples=1"],
    "labels": [],
    "prepare_data": [],
    "train": [
        "--config.fine_tuning.checkpoint=start",
        "--config.data.image_size=64",
        "--config.augmentation.crop_size=(64, 64)",
        "--config.epochs=2",
        "--config.run.panel_epochs=0",
    ],
    "calibrate": [],
    "evaluate": ["--figures=0"],
}

# A network of three members with random weights, saved where the tutorial has the shipped detector.
START = """
from tests.docs import small_program
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.segmenter import ModelConfig
from tests.trained_like import trained_like
model = ModelConfig("deterministic", "w18_small_v2")
Segmenter(trained_like(model, 3), CheckpointConfig(model, 3, (0.5,) * 3, (0.2,) * 3, 64)).save("start")
"""


def blocks() -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if line]


def test_blocks_are_commands_that_the_test_knows():
    languages = {language for language, _ in blocks()}
    assert languages == {"bash", "python"}
    programs = [
        command[1]
        for language, text in blocks()
        if language == "bash"
        for command in commands(text)
        if command[0] == "spotrust"
    ]
    assert set(programs) == set(SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, compilation_cache):
    """The folder that the tutorial is worked through in, after its last block."""
    folder = tmp_path_factory.mktemp("tutorial")
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": compilation_cache,
        "PYTHONPATH": str(REPOSITORY),
        "XLA_FLAGS": xla_flags(),
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    run("-c", START)
    printed = []
    for language, text in blocks():
        if language == "python":
            printed.append(run("-c", f"from tests.docs import small_program\n{text}"))
            continue
        for program, *rest in commands(text):
            if program == "rm":
                (folder / rest[0]).unlink()
                continue
            name, *given = rest
            checkpoint = ["--checkpoint=start"] if name == "predict" and "--output=maps" in given else []
            run("-m", "tests.docs.small_program", name, *given, *SMALL[name], *checkpoint)
    (folder / "printed.json").write_text(json.dumps(printed))
    return folder


def test_every_photograph_ends_with_a_decision(folder):
    decisions, single = json.loads((folder / "printed.json").read_text())
    lines = decisions.splitlines()
    assert len(lines) == 12
    words = ("inspect first", "look at the photograph", "next routine inspection")
    pattern = re.compile(rf"test_\d{{4}}: [\d.]+% to [\d.]+% corroded, ({'|'.join(words)})")
    assert all(pattern.fullmatch(line) for line in lines)
    assert re.fullmatch(r"[\d.]+% corroded, epistemic uncertainty up to 0\.\d\d\n", single)


def test_photographs_have_one_part_in_the_model(folder):
    record = json.loads((folder / "runs" / "survey" / "best" / "config.json").read_text())
    trained, calibrated = (set(record[kind]["names"]) for kind in ("trained_on", "calibrated_on"))
    scored = {row["image"] for row in csv.DictReader((folder / "runs/survey/scores/per_image.csv").open())}
    assert trained and calibrated and scored
    assert len(trained | calibrated | scored) == len(trained) + len(calibrated) + len(scored) == 12


def test_outputs_that_the_tutorial_names_are_there(folder):
    for path in ("maps/report.html", "maps/summary.csv", "final/report.html", "runs/survey/scores/table.md"):
        assert (folder / path).is_file()
    for ending in ("mask.png", "overlay.png", "epistemic.png", "aleatoric.png", "maps.npz"):
        assert (folder / "maps" / f"test_0000_{ending}").is_file()
    assert len(list((folder / "labels").glob("*.json"))) == 12
