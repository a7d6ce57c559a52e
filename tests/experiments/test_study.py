"""The study's measurements of models whose maps are known, so that what it says of them can be worked out otherwise."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from experiments.study import measure as study
from experiments.study.datasets import SIZE, Parts
from experiments.study.models import Model
from experiments.study.tables import write_study
from spotrust_jax.calibration.histogram import score_histogram
from spotrust_jax.calibration.promises import Marked
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.data.example import Example
from spotrust_jax.evaluation.calibrate import THRESHOLDS, CalibrationData
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter

CONFIG = CheckpointConfig(ModelConfig("deterministic", "w18_small_v1", width=4), 1, (0.5,) * 3, (0.2,) * 3, 128)


class Photographs(list):
    @property
    def names(self):
        return tuple(example.name for example in self)


def _example(seed, most=1.0):
    """Red is three times the odds of corrosion, as a positive weight of 3 makes them."""
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 256, (SIZE // 8, SIZE // 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    odds = np.clip(image[..., 0] / 255, 0.01, 0.99) ** -1.0 - 1
    return Example(f"{seed}", image, rng.random((SIZE, SIZE)) < most / (1 + 3 * odds), f"{seed}")


def _out_of_distribution(first):
    """Like the others, but that the model says that it is uncertain."""
    images = [_example(1000 * first + number).image for number in range(4)]
    return [(str(number), np.maximum(image, np.uint8([0, 150, 0]))) for number, image in enumerate(images)]


@pytest.fixture(scope="module")
def parts():
    validation, test, clean = (
        Photographs(_example(seed, most) for seed in range(first, first + count))
        for first, count, most in ((0, 12, 1.0), (50, 10, 1.0), (90, 3, 0.0))
    )
    ood = {"scenes without steel": _out_of_distribution(1), "other photographs": _out_of_distribution(2)}
    return Parts("known", {}, validation, validation, test, clean, ood, _out_of_distribution(3))


@pytest.fixture
def seen(monkeypatch):
    """Photographs that the models are asked about; red is what they say, green how uncertain they are."""
    seen = []

    def known(self, image, photograph, tile, num_samples, decomposed=False, area=None):
        seen.append(image.tobytes())
        red, green, blue = (image[..., channel].astype(np.float32) / 255 for channel in range(3))
        return Prediction(red, green / 2, blue, self.config.threshold, None, None, green, green / 3, blue)

    monkeypatch.setattr(Segmenter, "predict_part", known)
    monkeypatch.setattr(study, "seconds_of_a_photograph", lambda segmenter: 1.0)
    return seen


def test_every_photograph_is_predicted_once_and_measured_as_if_alone(parts, seen):
    found = study.measure(Model("known", Segmenter({}, CONFIG), 1), parts)
    assert len(seen) == len(set(seen)) == 12 + 10 + 3 + 3 * 4
    np.testing.assert_allclose((found.calibration.slope, found.calibration.intercept), (1, -np.log(3)), atol=0.05)
    calibrated = Segmenter({}, dataclasses.replace(CONFIG, calibration=found.calibration, threshold=found.threshold))
    masks = [predict_photograph(calibrated, example.image, Analysis(SIZE)).mask() for example in parts.test]
    truth = np.concatenate([example.mask.ravel() for example in parts.test])
    counts = found.test.pooled.confusion
    np.testing.assert_allclose(
        2 * counts[0] / (2 * counts[0] + counts[1] + counts[2]), f1_score(truth, np.ravel(masks)), atol=1e-9
    )
    for name, images in (
        *parts.out_of_distribution.items(),
        ("hard negatives", [(e.name, e.image) for e in parts.hard_negatives]),
    ):
        called = [predict_photograph(calibrated, image, Analysis(SIZE)).mask().mean() for _, image in images]
        np.testing.assert_allclose(found.called[name], np.mean(called), atol=1e-9)
    assert found.detector in ("entropy", "mutual_information", "epistemic") and found.doubt == "expected_error"
    assert len(found.missed) == 0  # too few photographs to divide


def test_tables_say_what_was_measured(parts, seen, tmp_path):
    measured = [study.measure(Model(name, Segmenter({}, CONFIG), 1), parts) for name in ("one", "ensemble")]
    text = write_study(tmp_path, "known", measured)
    assert text == (tmp_path / "study.md").read_text() and text.startswith("## Known\n") and "nan" not in text
    tables = json.loads((tmp_path / "study.json").read_text())
    held = {row["what"]: row for row in tables["What was to hold"] if row["model"] == "one"}
    skill = held["Brier skill, above 0.3"]
    assert float(skill["value"]) == round(measured[0].qualities["platt"].brier_skill, 4)
    assert skill["held"] == ("yes" if float(skill["value"]) > 0.3 else "no")
    assert held["AUROC of scenes without steel, above 0.9"]["held"] == "yes"
    first = tables["Epistemic deviation"][0]
    greens = [example.image[..., 1].mean() / 510 for example in parts.test]
    np.testing.assert_allclose(float(first["mean over photographs"]), np.mean(greens), atol=1e-4)
    assert first["correlation with the ensemble's"] == "1.000"
    record = json.loads((tmp_path / "other_photographs" / "metrics.json").read_text())[0]
    assert record["out_of_distribution/entropy"]["image_auroc"]["value"] == 1.0


def test_promised_miss_rate_is_realised_where_photographs_are_exchangeable():
    # The pixels of each photograph's corrosion have logits around a centre of its own.
    centres = np.random.default_rng(0).normal(2, 1, (240, 1))
    logits = np.log(THRESHOLDS) - np.log1p(-THRESHOLDS)
    missed = 1 / (1 + np.exp(-(logits - centres) * 1.7))
    pixel = score_histogram(np.zeros(1), np.zeros(1), np.ones(1))
    parts = [
        CalibrationData(
            pixel,
            Marked(1 - some, 0 * some, np.ones(len(some))),
            tuple(map(str, range(len(some)))),
            (pixel,) * len(some),
        )
        for some in (missed[:120], missed[120:])
    ]
    rates = study.realised_miss_rates(*parts)
    assert len(rates) == 100
    assert 0.07 < rates.mean() < 0.1 + 2 * rates.std() / 10


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.study", *arguments],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "XLA_FLAGS": "", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_of_the_study_has_its_flags_and_those_of_every_command():
    result = program("--help")
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.startswith("usage: python -m experiments.study [--flag=value ...]\n")
    assert "\n  python -m experiments.study --workdir=runs/study --data=DATA" in result.stdout
    for flag in ("--workdir=...", "--data=...", "--[no]full", "--platform=auto|cpu|gpu|tpu"):
        assert flag in result.stdout


def test_study_of_photographs_that_are_not_there_is_one_line(tmp_path):
    result = program(f"--workdir={tmp_path}/out", "--data=nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith("error: data set nowhere ") and result.stderr.count("\n") == 1
