"""`spotrust predict` on small networks with random weights: against the library's answer, and in difficult places."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import spotrust_jax
from spotrust_jax.batch.records import only_run
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig, save_safetensors
from spotrust_jax.config import ModelConfig
from spotrust_jax.io.images import read_image
from tests.programs import call
from tests.trained_like import trained_like

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NAMES = ("probability", "epistemic", "log_variance")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A calibrated variational network that was trained at 64 pixels."""
    model = ModelConfig("variational", "w18_small_v1", width=4)
    calibration = PlattScaling(0.8, -0.5)
    config = CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, 64, calibration=calibration, threshold=0.4)
    folder = tmp_path_factory.mktemp("model")
    save_safetensors(folder, trained_like(model), config)
    return folder


@pytest.fixture(scope="module")
def run(checkpoint):
    """Runs the program with the checkpoint and gives its outcome."""
    return lambda *arguments: call("predict", [f"--checkpoint={checkpoint}", *arguments], REPOSITORY)


def photograph(shape, seed=0):
    """Coarse structure, so that the network's answer survives resizing."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)


def assert_maps_of(prediction, path):
    with np.load(path) as maps:
        for name in NAMES:
            # float16 has 11 bits.
            np.testing.assert_allclose(maps[name], getattr(prediction, name), rtol=1e-3, atol=1e-5)


def test_library_answers_as_the_program(run, checkpoint, tmp_path):
    photographs = tmp_path / "in"
    photographs.mkdir()
    photograph((90, 160)).save(photographs / "wide.png")
    photograph((20, 36), seed=1).save(photographs / "tiny.png")
    assert run(f"--input={photographs}", f"--output={tmp_path}/out").code == 0
    segmenter = spotrust_jax.load(checkpoint)
    for name in ("wide", "tiny"):
        image = read_image(photographs / f"{name}.png")
        prediction = segmenter.predict(image)
        assert prediction.probability.shape == image.shape[:2] and prediction.epistemic.max() > 0.01
        assert_maps_of(prediction, tmp_path / "out" / f"{name}_maps.npz")
        # A float image is the same photograph, and so are two of them in a batch.
        floats = segmenter.predict(np.stack([image, image[::-1]]) / 255.0)
        assert_maps_of(floats[0], tmp_path / "out" / f"{name}_maps.npz")


@pytest.mark.parametrize("scale", ["native", 96])
def test_library_answers_as_the_program_with_other_settings(run, checkpoint, tmp_path, scale):
    photograph((64, 100)).save(tmp_path / "one.png")
    flags = (f"--scale={scale}", "--num_samples=2", "--seed=3")
    assert run(f"--input={tmp_path}/one.png", f"--output={tmp_path}/out", *flags).code == 0
    settings = {"scale": scale, "num_samples": 2, "key": jax.random.key(3)}
    prediction = spotrust_jax.load(checkpoint).predict(read_image(tmp_path / "one.png"), **settings)
    assert_maps_of(prediction, tmp_path / "out" / "one_maps.npz")


def test_output_among_the_photographs(run, tmp_path):
    (tmp_path / "in").mkdir()
    photograph((40, 60)).save(tmp_path / "in" / "one.png")
    photograph((40, 60), seed=1).save(tmp_path / "in" / "two.png")
    for source, counted in (("in", "2 of 2"), ("in/one.png", "1 of 1"), ("in", "2 of 2")):
        result = run(f"--input={tmp_path}/{source}", f"--output={tmp_path}/in", "--num_samples=2")
        assert result.code == 0, result.stderr
        assert f"{counted} photographs analysed" in result.stdout


@pytest.mark.parametrize("name", ["x_mask.png", "x_maps.npz", "summary.csv", "summary.json", "survey.json"])
def test_files_of_the_user_are_not_replaced(run, tmp_path, name):
    photograph((40, 60)).save(tmp_path / "x.jpg")
    (tmp_path / name).write_bytes(b"made by hand")
    # What a refused run leaves is no record of having written it.
    for _ in range(2):
        result = run(f"--input={tmp_path}/x.jpg", f"--output={tmp_path}", "--num_samples=2")
        assert result.code == 2
        assert re.fullmatch(rf"error: .*{name} lies where .*", result.stderr.strip().splitlines()[-1])
        assert (tmp_path / name).read_bytes() == b"made by hand"


def test_second_run_into_a_folder_is_refused(run, tmp_path):
    photograph((40, 60)).save(tmp_path / "one.png")
    (tmp_path / "out").mkdir()
    with only_run(tmp_path / "out"):
        result = run(f"--input={tmp_path}/one.png", f"--output={tmp_path}/out")
    assert result.code == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: another run is writing into")


@pytest.mark.parametrize("name", ["summary.json", "regions.csv"])
def test_summary_or_report_that_cannot_be_written_is_one_line(run, tmp_path, name):
    photograph((40, 60)).save(tmp_path / "one.png")
    arguments = (f"--input={tmp_path}/one.png", f"--output={tmp_path}/out", "--num_samples=2", "--report")
    assert run(*arguments).code == 0
    # In the way of what a run wrote before: anywhere else it would be the user's, and refused at once.
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / name).mkdir()
    result = run(*arguments)
    assert result.code == 1 and "Traceback" not in result.stderr
    assert result.stderr.count("error: summary and report in") == 1 and "start again" in result.stderr
    (tmp_path / "out" / name).rmdir()
    assert "1 of them by an earlier run" in run(*arguments).stdout
