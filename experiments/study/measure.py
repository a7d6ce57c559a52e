"""One model of the study, calibrated and measured on every part of a data set."""

import dataclasses
import statistics
import time
from collections.abc import Hashable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float64, Key, UInt8

from experiments.missed_corrosion import Ranking, rankings, review_dataset
from experiments.study.datasets import SIZE, Parts
from experiments.study.models import Model
from spotrust_jax.calibration.fitting import conformal_threshold
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.evaluation.calibrate import (
    THRESHOLDS,
    CalibrationData,
    Quality,
    calibrated,
    candidates,
    predict_split,
    quality_of,
)
from spotrust_jax.evaluation.evaluate import Evaluation, OutOfDistribution, evaluate, evaluate_out_of_distribution
from spotrust_jax.evaluation.out_of_distribution import best_score
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES
from spotrust_jax.metrics.ranking_errors import Aurc, ranked

NUM_SAMPLES = 24
MISS_RATE = 0.1
REVIEWED = 0.2

# Random divisions into calibration and test, and photographs of the former.
_DIVISIONS, _CALIBRATING = 100, 100


class Measured(NamedTuple):
    """Everything of one model.

    Attributes:
        model: which.
        calibration: what was fitted on the validation part.
        threshold: of the best F1 there.
        qualities: on the test part of raw probabilities, with a temperature, and calibrated.
        test: on the test part, calibrated.
        out_of_distribution: on what is out of distribution, by name.
        called: share of the hard negatives' pixels called corrosion, and of theirs out of distribution, by name.
        detector: uncertainty that detects out of distribution best on validation.
        doubt: uncertainty that puts errors best in order on validation.
        reviewed: what is found in the photographs of the test part that would be looked at first, by order.
        missed: realised miss rates of the conformal threshold over random divisions; none of fewer photographs.
        seconds: median of a photograph at the study's size.
    """

    model: Model
    calibration: PlattScaling
    threshold: float
    qualities: dict[str, Quality]
    test: Evaluation
    out_of_distribution: dict[str, OutOfDistribution]
    called: dict[str, float]
    detector: str
    doubt: str
    reviewed: dict[str, Ranking]
    missed: Float64[np.ndarray, "divisions"]
    seconds: float


@dataclasses.dataclass(frozen=True)
class _Remembering(Segmenter):
    """A segmenter that looks at each photograph once, whatever becomes of its calibration in between."""

    remembered: dict[tuple[Hashable, ...], Prediction] = dataclasses.field(default_factory=dict, compare=False)

    def predict_part(
        self, image: UInt8[np.ndarray, "height width 3"], photograph: Key[Array, ""], *asked: Hashable
    ) -> Prediction:
        """As for `Segmenter`; the photograph's key is that of its content."""
        place = (np.asarray(jax.random.key_data(photograph)).tobytes(), *asked)
        if place not in self.remembered:
            self.remembered[place] = super().predict_part(image, photograph, *asked)
        return dataclasses.replace(self.remembered[place], threshold=self.config.threshold)


def measure(model: Model, parts: Parts) -> Measured:
    """Calibrates on validation, chooses there what is to be chosen, and measures on the rest."""
    analysis = Analysis(SIZE, NUM_SAMPLES, decomposed=True)
    raw = _Remembering(**{field.name: getattr(model.segmenter, field.name) for field in dataclasses.fields(Segmenter)})
    observed = predict_split(raw, parts.validation, analysis)
    config = calibrated(raw.config, observed)
    segmenter = dataclasses.replace(raw, config=config)
    validation = evaluate(f"{model.name}, validation", segmenter, parts.validation, analysis)
    out_of_distribution_validation = evaluate_out_of_distribution(
        segmenter, parts.out_of_distribution_validation, analysis
    )
    observed_test = predict_split(raw, parts.test, analysis)
    test = evaluate(model.name, segmenter, parts.test, analysis)
    ood = {
        name: evaluate_out_of_distribution(segmenter, images, analysis)
        for name, images in parts.out_of_distribution.items()
    }
    called = {name: float(one.corroded.mean()) for name, one in ood.items()}
    if parts.hard_negatives is not None:
        clean = evaluate("hard negatives", segmenter, parts.hard_negatives, analysis)
        called["hard negatives"] = float(clean.pooled.confusion[1] / clean.pooled.confusion.sum())
    areas = {name: Aurc.compute(ranked(validation.pooled, name)) for name in UNCERTAINTIES}
    return Measured(
        model,
        config.calibration,
        config.threshold,
        {name: quality_of(observed_test.by_probability, one) for name, one in candidates(observed, config).items()},
        test,
        ood,
        called,
        best_score(validation, out_of_distribution_validation),
        min(areas, key=areas.__getitem__),
        rankings(review_dataset(segmenter, parts.test, analysis), REVIEWED),
        realised_miss_rates(observed, observed_test),
        seconds_of_a_photograph(model.segmenter),
    )


def realised_miss_rates(*observed: CalibrationData, seed: int = 0) -> Float64[np.ndarray, "divisions"]:
    """Mean miss rates on the rest when a threshold is promised from some of the photographs that show corrosion."""
    missed = np.concatenate([one.missed[one.corroded] for one in observed])
    if len(missed) < 2 * _CALIBRATING:
        return np.zeros(0)
    generator, realised = np.random.default_rng(seed), []
    for _ in range(_DIVISIONS):
        order = generator.permutation(len(missed))
        threshold = conformal_threshold(missed[order[:_CALIBRATING]], THRESHOLDS, MISS_RATE)
        rates = missed[order[_CALIBRATING:], np.searchsorted(THRESHOLDS, threshold)]
        realised.append(rates.mean())
    return np.array(realised)


def seconds_of_a_photograph(segmenter: Segmenter, repeats: int = 7) -> float:
    """Median time of all passes over one image, once the program is there."""
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        segmenter.predict(image, key=jax.random.key(0), num_samples=NUM_SAMPLES)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])
