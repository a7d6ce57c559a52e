"""Models measured on photographs: what is ignored, bad splits, tables, and calibration from end to end."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.calibration.promises import PromiseRequest
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.data.example import Example
from spotrust_jax.errors import InputError
from spotrust_jax.evaluation.calibrate import calibrated, candidates, predict_split, quality_of
from spotrust_jax.evaluation.evaluate import evaluate, evaluate_out_of_distribution
from spotrust_jax.evaluation.figures import Figures
from spotrust_jax.evaluation.measures import summarize
from spotrust_jax.evaluation.out_of_distribution import best_score, out_of_distribution_measures
from spotrust_jax.evaluation.plots import write_plots
from spotrust_jax.evaluation.tables import FILES, write_evaluations
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.metrics.bootstrap import tail_of
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES

CONFIG = CheckpointConfig(ModelConfig("deterministic", "w18_small_v1", width=4), 1, (0.5,) * 3, (0.2,) * 3, 64)

ANALYSIS = Analysis(None, 2)


class Known(Segmenter):
    """Red is the raw probability; green, turned into the other maps, is how uncertain the model says it is."""

    def __init__(self, config=CONFIG):
        super().__init__({}, config)

    @property
    def uncalibrated(self):
        return Known(self.config.uncalibrated)

    def predict_part(self, image, photograph, tile, num_samples, decomposed=False, area=None):
        red, green, blue = (image[..., channel].astype(np.float32) / 255 for channel in range(3))
        maps = dict(zip(("entropy", "mutual_information", "pass_variance"), (green, green / 3, blue), strict=True))
        return Prediction(red, green / 2, blue, self.config.threshold, **(maps if decomposed else {}))


class Photographs(list):
    @property
    def names(self):
        return tuple(example.name for example in self)


def _example(seed, corroded=0.5, ignored=None):
    """Odds of corrosion are a third of what the red channel says, as a positive weight of 3 makes them."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (32, 32, 3), np.uint8)
    p = np.clip(image[..., 0] / 255, 0.001, 0.999)
    mask = rng.random((32, 32)) < (p / 3) / (p / 3 + 1 - p) * 2 * corroded
    return Example(f"photograph {seed}", image, mask, f"group {seed // 2}", ignored)


@pytest.fixture(scope="module")
def dataset():
    return Photographs(_example(seed) for seed in range(24))


@pytest.fixture(scope="module")
def ood():
    """Photographs in which the model says that it is uncertain."""
    rng = np.random.default_rng(99)
    return [(str(i), rng.integers(90, 256, (32, 32, 3), np.uint8)) for i in range(6)]


@pytest.fixture(scope="module")
def evaluation(dataset):
    return evaluate("known", Known(), dataset, ANALYSIS)


def test_counts_and_means_are_those_of_the_photographs(dataset, evaluation):
    truth = np.concatenate([example.mask.ravel() for example in dataset])
    found = np.concatenate([(example.image[..., 0] / np.float32(255) >= 0.5).ravel() for example in dataset])
    measures = {(m.group, m.metric): m for m in summarize(evaluation)}
    np.testing.assert_allclose(measures["pooled", "f1"].value, f1_score(truth, found), atol=1e-9)
    assert measures["pooled", "f1"].low < measures["pooled", "f1"].value < measures["pooled", "f1"].high
    for measure in measures.values():
        assert measure.low <= measure.value + 1e-3 and measure.value - 1e-3 <= measure.high
    greens = [example.image[..., 1].mean() / 255 for example in dataset]
    np.testing.assert_allclose(evaluation.means["entropy"], greens, rtol=1e-5)


def test_a_single_photograph_is_its_own_interval(dataset):
    measures = summarize(evaluate("one", Known(), Photographs(dataset[:1]), ANALYSIS))
    for measure in measures:
        np.testing.assert_allclose((measure.low, measure.high), measure.value, atol=1e-9)


def test_ignored_pixels_are_as_if_they_were_not_there(dataset, evaluation):
    beside = np.repeat([[False, True]], 32, axis=1).repeat(32, axis=0)
    wide = Photographs(
        e._replace(image=np.concatenate([e.image, e.image[::-1]], 1), mask=np.tile(e.mask, 2), ignored=beside)
        for e in dataset
    )
    measures = zip(summarize(evaluate("known", Known(), wide, ANALYSIS)), summarize(evaluation), strict=True)
    for found, expected in measures:
        if expected.metric not in ("pavpu", "accurate_if_certain", "uncertain_if_inaccurate"):
            np.testing.assert_allclose(found[3:], expected[3:], atol=1e-9, err_msg=expected.metric)
    everything = Photographs([dataset[0]._replace(ignored=np.ones((32, 32), bool))])
    with pytest.raises(InputError, match="all pixels of photograph photograph 0 are ignored"):
        evaluate("none", Known(), everything, ANALYSIS)


def test_out_of_distribution_photographs_are_detected_as_scikit_learn_says(dataset, evaluation, ood):
    found = evaluate_out_of_distribution(Known(), ood, ANALYSIS)
    labels = [0] * len(dataset) + [1] * len(ood)
    scores = [e.image[..., 1].mean() for e in dataset] + [image[..., 1].mean() for _, image in ood]
    measures = out_of_distribution_measures(evaluation, found, "entropy")
    np.testing.assert_allclose(measures["image_auroc"], roc_auc_score(labels, scores), atol=1e-3)
    pixels = [e.image[..., 1].ravel() for e in dataset] + [image[..., 1].ravel() for _, image in ood]
    labels = np.repeat(labels, [len(part) for part in pixels])
    np.testing.assert_allclose(measures["pixel_auroc"], roc_auc_score(labels, np.concatenate(pixels)), atol=1e-3)
    aurocs = {name: out_of_distribution_measures(evaluation, found, name)["image_auroc"] for name in UNCERTAINTIES}
    assert aurocs[best_score(evaluation, found)] == max(aurocs.values())
    with pytest.raises(InputError, match="out of distribution"):
        evaluate_out_of_distribution(Known(), [], ANALYSIS)


def test_every_file_is_written(dataset, evaluation, ood, tmp_path):
    figures = Figures(2)
    look = lambda example, prediction: figures.add("a/b", example, prediction, 0.5)  # noqa: E731
    evaluate("a/b", Known(), dataset, ANALYSIS, look=look)
    other = lambda image, prediction: figures.add_out_of_distribution("a/b", image, prediction, 0.5)  # noqa: E731
    found = evaluate_out_of_distribution(Known(), ood, ANALYSIS, look=other)
    text = write_evaluations(tmp_path, [evaluation], [found])
    assert "24 images, 6 out of distribution" in text and text.count("| known |") == 2 + 1 + 5 + 5 + 5
    rows = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert len(rows) == 30 and rows[-1]["f1"] == "" and float(rows[-1]["mean_entropy"]) > 0
    (record,) = json.loads((tmp_path / "metrics.json").read_text())
    lines = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    for line in lines:
        assert float(line["value"]) == record[line["group"]][line["metric"]]["value"]
    pictures = [*figures.write(tmp_path), *write_plots(tmp_path, [evaluation])]
    assert all(path.stat().st_size > 1000 for path in pictures)
    assert {path.name for path in pictures} >= {"inputs.png", "a_b_detection.png", "out_of_distribution_inputs.png"}
    assert set(FILES) <= {path.name for path in tmp_path.iterdir()}


def test_calibration_takes_back_what_the_weight_did(dataset):
    config = dataclasses.replace(CONFIG, positive_weight=3.0)
    observed = predict_split(Known(config), dataset, ANALYSIS)
    found = calibrated(config, observed)
    np.testing.assert_allclose(found.calibration.slope, 1.0, atol=0.08)
    np.testing.assert_allclose(found.calibration.intercept, -np.log(3), atol=0.08)
    assert "best F1, on 24 photographs in 12 groups" in found.threshold_rule
    kinds = {name: quality_of(observed.by_probability, one) for name, one in candidates(observed, found).items()}
    assert kinds["platt"].negative_log_likelihood < kinds["temperature"].negative_log_likelihood
    measured = evaluate("calibrated", Known(found), dataset, ANALYSIS)
    values = {m.metric: m.value for m in summarize(measured) if m.group in ("probability", "reliability/all")}
    np.testing.assert_allclose(values["negative_log_likelihood"], kinds["platt"].negative_log_likelihood, atol=1e-4)
    np.testing.assert_allclose(values["miscalibration"], kinds["platt"].miscalibration, atol=1e-4)
    # What keeps the order of the pixels changes miscalibration alone.
    np.testing.assert_allclose([one.discrimination for one in kinds.values()], values["discrimination"], atol=1e-4)
    assert kinds["platt"].miscalibration < kinds["temperature"].miscalibration < kinds["raw"].miscalibration
    # Calibrating what is calibrated finds the same.
    assert calibrated(found, predict_split(Known(found), dataset, ANALYSIS)) == found


def test_promised_miss_rate_holds_on_what_it_was_fitted_to(dataset):
    observed = predict_split(Known(), dataset, ANALYSIS)
    found = calibrated(CONFIG, observed, PromiseRequest("miss_rate", 0.2))
    threshold = found.calibration.inverse(np.float64(found.threshold))
    rates = [(e.image[..., 0][e.mask] / 255 < threshold).mean() for e in dataset]
    assert 0.05 < np.mean(rates) <= 0.2 and "0.2" in found.threshold_rule
    with pytest.raises(InputError, match="from 12 groups"):
        calibrated(CONFIG, observed, PromiseRequest("miss_rate", 0.05))


@pytest.mark.parametrize("clean", [0, 12, 56])
def test_photographs_without_corrosion_change_nothing_about_the_miss_rate(dataset, clean):
    sound = [dataset[0]._replace(mask=np.zeros((32, 32), bool), group=f"clean {i}") for i in range(clean)]
    found = calibrated(
        CONFIG, predict_split(Known(), Photographs([*dataset, *sound]), ANALYSIS), PromiseRequest("miss_rate", 0.2)
    )
    threshold = found.calibration.inverse(np.float64(found.threshold))
    rates = [(e.image[..., 0][e.mask] / 255 < threshold).mean() for e in dataset]
    assert 0.05 < np.mean(rates) <= 0.2 and "24 photographs with corrosion in 12 groups" in found.threshold_rule


def test_intervals_of_areas_need_enough_groups(dataset):
    few = Photographs(example._replace(group=str(number % 8)) for number, example in enumerate(dataset))
    assert calibrated(CONFIG, predict_split(Known(), few, ANALYSIS)).areas == AreaCalibration()
    alone = Photographs(example._replace(group=str(number)) for number, example in enumerate(dataset))
    found = calibrated(CONFIG, predict_split(Known(), alone, ANALYSIS)).areas
    assert found.groups == 24 and found.reach > 0


def test_a_photograph_without_any_label_is_not_calibrated_on(dataset):
    # It would count as one without corrosion.
    split = Photographs([*dataset, _example(24, ignored=np.ones((32, 32), bool))])
    with pytest.raises(InputError, match="all pixels of photograph photograph 24 are ignored: leave it out"):
        predict_split(Known(), split, ANALYSIS)


@pytest.mark.parametrize(("corroded", "words"), [(False, "no corrosion"), (True, "nothing but corrosion")])
def test_split_of_one_kind_is_scored_but_not_calibrated_on(dataset, corroded, words):
    split = Photographs(example._replace(mask=np.full((32, 32), corroded)) for example in dataset[:3])
    values = {(m.group, m.metric): m.value for m in summarize(evaluate("known", Known(), split, ANALYSIS))}
    assert np.isfinite(list(values.values())).all()
    with pytest.raises(InputError, match=words):
        calibrated(CONFIG, predict_split(Known(), split, ANALYSIS))


def test_differences_of_models_are_paired(dataset, evaluation, tmp_path):
    """On resamples of groups that numpy draws and scores again."""
    second = evaluate("other", Known(dataclasses.replace(CONFIG, threshold=0.3)), dataset, ANALYSIS)
    write_evaluations(tmp_path, [evaluation, second])
    rows = list(csv.DictReader((tmp_path / "differences.csv").open()))
    (row,) = (row for row in rows if (row["group"], row["metric"]) == ("pooled", "accuracy"))
    right = [
        [((example.image[..., 0] / np.float32(255) >= level) == example.mask).mean() for example in dataset]
        for level in (0.5, 0.3)
    ]
    difference = np.subtract(right[1], right[0])
    generator, groups = np.random.default_rng(1), np.arange(24) // 2
    drawn = [difference[np.concatenate([np.flatnonzero(groups == g) for g in generator.integers(12, size=12)])].mean()
             for _ in range(4000)]  # fmt: skip
    tail = tail_of(0.95, 12)
    assert row["model"] == "other - known" and float(row["value"]) == pytest.approx(difference.mean())
    low, high = np.quantile(drawn, [tail, 1 - tail])
    assert float(row["low"]) == pytest.approx(low, abs=0.15 * (high - low))
    assert float(row["high"]) == pytest.approx(high, abs=0.15 * (high - low))
    text = (tmp_path / "table.md").read_text()
    assert "### Differences: Masks" in text and "24 photographs in 12 groups" in text
    with pytest.raises(InputError, match="different photographs"):
        write_evaluations(tmp_path, [evaluation, evaluate("part", Known(), Photographs(dataset[:3]), ANALYSIS)])


def test_models_side_by_side_are_each_as_alone(dataset, evaluation, tmp_path):
    other = dataclasses.replace(CONFIG, mean=(0.1,) * 3, calibration=PlattScaling(1.0, -1.0), threshold=0.3)
    second = evaluate("other", Known(other), dataset, ANALYSIS)
    write_evaluations(tmp_path / "both", [evaluation, second])
    write_evaluations(tmp_path / "alone", [second])
    both, alone = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("both", "alone"))
    assert both[1] == alone[0] and both[0]["pooled"] != both[1]["pooled"]
