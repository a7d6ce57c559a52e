"""Models that come with the package, by their names: in a folder of the test's own, with a tiny network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import spotrust_jax
from configs import fine_tune
from spotrust_jax.checkpoints import CheckpointConfig, ModelCard, Score, load_model, read_config, save_safetensors
from spotrust_jax.command_line.model_list import list_models
from spotrust_jax.config import ModelConfig, TrainConfig
from spotrust_jax.data.card import DatasetCard
from spotrust_jax.data.folder_writer import write_folder
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.errors import InputError
from spotrust_jax.fields import from_dict
from spotrust_jax.io import model_folders
from spotrust_jax.training.checks import check_start
from tests.programs import Outcome, call
from tests.trained_like import trained_like
from tests.training.small_network import use_it

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MODEL = ModelConfig("deterministic", "w18_small_v1", width=4)
SCORES = (Score("F1", "the test split", 0.7512, 0.7, 0.8),)
CARD = ModelCard("inspection-1", "1.0", "CC-BY-4.0", ("photographs of bridges (CC0)", "synthetic scenes"), SCORES)


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """One convolution a branch as the backbone."""
    with pytest.MonkeyPatch.context() as patch:
        use_it(patch.setattr)
        yield


@pytest.fixture(scope="module")
def shipped(small_network, tmp_path_factory) -> Path:
    """The folder of a package with the default model and another."""
    folder = tmp_path_factory.mktemp("pretrained")
    for name, members in (("inspection-1", 2), ("other", 1)):
        card = CARD if name == "inspection-1" else ModelCard()
        config = CheckpointConfig(MODEL, members, (0.5,) * 3, (0.2,) * 3, 64, card=card)
        save_safetensors(folder / name, trained_like(MODEL, members), config)
        (folder / name / "LICENSE").write_text("licence")
    return folder


@pytest.fixture
def package(shipped, monkeypatch) -> Path:
    monkeypatch.setattr(model_folders, "FOLDER", shipped)
    return shipped


@pytest.fixture
def run(monkeypatch):
    """Runs a program of a package whose models are in `folder`."""

    def start(program: str, folder: Path, *arguments: object) -> Outcome:
        monkeypatch.setattr(model_folders, "FOLDER", folder)
        return call(program, arguments, folder)

    return start


def test_the_default_a_name_a_folder_and_a_file(package):
    default = spotrust_jax.load()
    assert default.config.members == 2 and default.config.card == CARD
    for given in ("inspection-1", package / "inspection-1", str(package / "inspection-1" / "model.safetensors")):
        assert spotrust_jax.load(given).fingerprint == default.fingerprint
    assert spotrust_jax.load("other").config.members == 1
    assert model_folders.names() == ("inspection-1", "other")


def test_a_name_goes_before_a_folder_of_the_same_name(package, tmp_path, monkeypatch):
    shutil.copytree(package / "other", tmp_path / "inspection-1")
    monkeypatch.chdir(tmp_path)
    assert read_config("inspection-1").members == 2
    assert read_config("./inspection-1").members == 1
    assert read_config(Path("inspection-1")).members == 1


def test_names_that_do_not_exist(package, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"no model is called 'inspection-2', .*package: inspection-1, other\)"):
        spotrust_jax.load("inspection-2")
    monkeypatch.setattr(model_folders, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"this installation has no model inspection-1 .*: install the package again"):
        spotrust_jax.load()
    with pytest.raises(InputError, match=r"this installation has no models"):
        list_models()


def test_a_broken_installation(package, tmp_path, monkeypatch):
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(model_folders, "FOLDER", tmp_path)
    (tmp_path / "inspection-1" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has a config\.json but no .*model\.safetensors"):
        load_model("inspection-1")


def test_an_installation_without_its_folder_of_models(compilation_cache, tmp_path):
    """As when a disk image or a package manager drops large files with their folder: one line, exit code 2."""
    package = tmp_path / "site" / "spotrust_jax"
    package.mkdir(parents=True)
    for entry in (REPOSITORY / "spotrust_jax").iterdir():
        if entry.name != "pretrained":
            (package / entry.name).symlink_to(entry)
    (package / "launch").symlink_to(REPOSITORY / "launch")
    code = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); from spotrust_jax.launch import models; models.run()"
    )
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": compilation_cache}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 2, found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: this installation has no models") and str(package / "pretrained") in line


def test_models_are_listed(package):
    listed = list_models().splitlines()
    assert listed[0] == "inspection-1 (default)"
    size = sum(path.stat().st_size for path in (package / "inspection-1").iterdir()) / 1e6
    assert listed[1] == (
        f"  version 1.0, ensemble of 2, deterministic, w18_small_v1 of width 4, {size:.1f} MB, for photographs with a "
        f"long side of 64 pixels"
    )
    assert listed[2:6] == [
        "  licence: CC-BY-4.0",
        "  trained on: photographs of bridges (CC0)",
        "  trained on: synthetic scenes",
        "  F1 0.751 (0.700 to 0.800) on the test split",
    ]
    assert "other" in listed


def test_programs_go_by_the_default(run, shipped, tmp_path):
    listed = run("models", shipped)
    assert listed.code == 0 and "inspection-1 (default)" in listed.stdout, listed.stderr
    photograph = tmp_path / "photograph.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(photograph)
    given = (f"--input={photograph}", "--num_samples=1")
    default = run("predict", shipped, *given, f"--output={tmp_path}/default", "--report")
    assert default.code == 0, default.stderr
    assert "inspection-1" in (tmp_path / "default" / "report.html").read_text()
    file = shipped / "inspection-1" / "model.safetensors"
    by_file = run("predict", shipped, *given, f"--output={tmp_path}/file", f"--checkpoint={file}")
    assert by_file.code == 0, by_file.stderr
    maps = [np.load(tmp_path / name / "photograph_maps.npz") for name in ("default", "file")]
    np.testing.assert_array_equal(maps[0]["probability"], maps[1]["probability"])


def test_the_package_is_not_calibrated_in_place(run, shipped, tmp_path):
    before = json.loads((shipped / "inspection-1" / "config.json").read_text())
    done = run("calibrate", shipped, f"--data={tmp_path}")
    assert done.code == 2 and "inspection-1 is part of the package" in done.stderr, done.stderr
    assert json.loads((shipped / "inspection-1" / "config.json").read_text()) == before


def test_bad_names_are_one_line_and_code_two(run, shipped, tmp_path):
    arguments = (f"--input={REPOSITORY / 'docs/scenes.png'}", f"--output={tmp_path}/out")
    for program, more, words in (
        ("predict", [*arguments, "--checkpoint=inspection-9"], "package: inspection-1, other"),
        ("export", [f"--output={tmp_path}/bundle", "--checkpoint=inspection-9"], "package: inspection-1, other"),
        ("evaluate", [f"--data={tmp_path}", "--checkpoint=inspection-9", f"--output={tmp_path}/x"], str(tmp_path)),
    ):
        done = run(program, shipped, *more)
        assert done.code == 2 and words in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
    done = run("predict", tmp_path, *arguments)
    assert done.code == 2 and "this installation has no model inspection-1" in done.stderr


def test_training_goes_on_from_the_default(run, shipped, tmp_path):
    data, run_directory, rate = tmp_path / "data", tmp_path / "run", 1e-4
    splits = {"train": SurveySceneDataset("train", 4, 64), "validation": SurveySceneDataset("validation", 2, 64)}
    write_folder(splits, data, DatasetCard("scenes"))
    small = ("preset=w18_small_v1", "width=4")
    done = run(
        "train",
        shipped,
        *(f"--config.model.{field}" for field in small),
        "--config.members=2",
        f"--config.data.path={data}",
        "--config.data.image_size=64",
        "--config.augmentation.crop_size=(64, 64)",
        "--config.batch_size=2",
        "--config.epochs=2",
        f"--config.optimizer.learning_rate={rate}",
        f"--workdir={run_directory}",
    )
    assert done.code == 0, done.stderr
    (before, _), (after, config) = load_model(shipped / "inspection-1"), load_model(run_directory / "best")
    assert config.members == 2 and len(config.trained_on.names) == 4
    # Adam moves a weight by little more than its rate in each of four steps, so no part began anew.
    leaves = jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), before["params"], after["params"]))
    assert 0 < max(leaves) < 8 * rate


def test_training_without_the_default_is_one_line_and_code_two(run, tmp_path):
    data = tmp_path / "data"
    write_folder(
        {"train": SurveySceneDataset("train", 8, 64), "validation": SurveySceneDataset("validation", 1, 64)},
        data,
        DatasetCard("scenes"),
    )
    done = run("train", tmp_path, f"--config.data.path={data}", f"--workdir={tmp_path}/run")
    assert done.code == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "this installation has no model inspection-1" in done.stderr


def test_training_by_default_fits_the_detector_that_is_shipped():
    config, shipped = from_dict(TrainConfig, fine_tune.get_config().to_dict()), read_config("inspection-1")
    assert check_start(config) == shipped
    assert config.fine_tuning.head and config.fine_tuning.aleatoric
    assert config.members == shipped.members and config.data.image_size == shipped.inference_size
    assert (config.model.variant, config.loss.kind) == (shipped.model.variant, "cross_entropy")
    assert config.loss.positive_weight == shipped.positive_weight
