"""The README's way from photographs to scores, each command with its defaults."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.models import presets
from tests.programs import call

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# All else is the paper's, with the whole network's kinds of layers, one of each.
SMALL = (
    "--config.data.image_size=64",
    "--config.augmentation.crop_size=(64, 64)",
    "--config.epochs=2",
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs and masks as a person has them: side by side, without splits."""
    folder = tmp_path_factory.mktemp("photographs")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for example in SceneDataset(DEMO_SCENES, "train", 20):
        Image.fromarray(example.image).save(folder / "images" / f"{example.name}.png")
        Image.fromarray(example.mask.astype(np.uint8) * 255).save(folder / "masks" / f"{example.name}.png")
    return folder


def test_prepare_train_calibrate_evaluate(photographs, tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "one_of_each", presets.Architecture(1, 4, (1, 1, 1), 1, width=4))

    def run(name, *arguments):
        done = call(name, arguments, REPOSITORY)
        assert done.code == 0, done.stderr
        return done.stdout

    data, run_directory, best = tmp_path / "DATA", tmp_path / "run", f"--checkpoint={tmp_path}/run/best"
    run("prepare_data", f"--source={photographs}", f"--output={data}")
    config = "--config=configs/variational.py:one_of_each"
    run("train", config, f"--config.data.path={data}", f"--workdir={run_directory}", *SMALL)
    printed = run("calibrate", best, f"--data={data}", "--num_samples=2")
    record = json.loads((run_directory / "best" / "config.json").read_text())
    trained, selected = (set(record[kind]["names"]) for kind in ("trained_on", "selected_on"))
    assert not trained & selected and record["calibrated_on"] == record["selected_on"]
    assert f"{len(selected)} photographs" in printed
    scores = tmp_path / "scores"
    run("evaluate", best, f"--data={data}", "--split=test", f"--output={scores}", "--num_samples=2", "--figures=0")
    scored = {row["image"] for row in csv.DictReader((scores / "per_image.csv").open())}
    # Six, two and two in ten of twenty photographs, up to groups of near-duplicates, none of them twice.
    assert len(trained | selected | scored) == len(trained) + len(selected) + len(scored) == 20
    assert len(scored) >= 2
