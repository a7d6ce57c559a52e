"""`calibrate` and `evaluate` of a model that has learnt nothing say so."""

import csv
import os

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.checkpoints import CheckpointConfig, save_model
from spotrust_jax.config import ModelConfig
from spotrust_jax.io import model_folders
from tests.programs import call
from tests.trained_like import trained_like
from tests.training.small_network import use_it


@pytest.fixture
def model_and_data(tmp_path, monkeypatch):
    """Random weights, and noise of which a random half is called corroded."""
    use_it(monkeypatch.setattr)
    model = ModelConfig("deterministic", "w18_small_v1", width=4)
    config = CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, 64)
    save_model(tmp_path / "model", trained_like(model), config)
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number in range(6):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"data/images/{number}.png")
        Image.fromarray((random.random((64, 64)) < 0.5).astype(np.uint8) * 255).save(
            tmp_path / f"data/masks/{number}.png"
        )
    with (tmp_path / "data" / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "split", "group"), *((n, "validation", n) for n in range(6))])
    return tmp_path


@pytest.mark.parametrize("place", ["name", "folder", "file", "link", "link to file"])
def test_calibrate_leaves_the_models_of_the_package_as_they_are(place, model_and_data):
    own = model_folders.FOLDER / model_folders.DEFAULT
    before = (own / "config.json").read_bytes(), os.stat(own / "config.json").st_mtime_ns
    (model_and_data / "link").symlink_to(own)
    given = {
        "name": model_folders.DEFAULT,
        "folder": own,
        "file": own / "model.safetensors",
        "link": "link",
        "link to file": "link/model.safetensors",
    }[place]
    outcome = call("calibrate", [f"--checkpoint={given}", "--data=nowhere"], model_and_data)
    assert outcome.code == 2 and f"{given} is part of the package, which stays as it is" in outcome.stderr
    assert before == ((own / "config.json").read_bytes(), os.stat(own / "config.json").st_mtime_ns)


def test_calibrate_asks_for_its_output_before_anything_else(model_and_data):
    (model_and_data / "taken").write_text("")
    outcome = call("calibrate", ["--checkpoint=model", "--data=nowhere", "--output=taken/model"], model_and_data)
    assert outcome.code == 2 and outcome.stderr.startswith("error: --output=taken/model cannot be written (Not a ")


@pytest.mark.parametrize(
    ("program", "more", "begin"),
    [
        ("calibrate", [], "warning: this model knows nothing"),
        ("evaluate", ["--output=scores", "--figures=0"], "warning: model: this model knows nothing"),
    ],
)
def test_a_model_without_skill_is_said_to_know_nothing(program, more, begin, model_and_data):
    arguments = ["--checkpoint=model", "--data=data", "--split=validation", "--num_samples=1", *more]
    outcome = call(program, arguments, model_and_data)
    assert outcome.code == 0, outcome
    said = [line for line in outcome.stderr.splitlines() if "knows nothing" in line]
    assert len(said) == 1 and said[0].startswith(begin) and "over 6 photographs, 0.5 is random" in said[0]
