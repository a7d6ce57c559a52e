"""A model calibrated on labelled photographs that it has not learnt from, and its threshold chosen on them."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import expit
from tqdm import tqdm

from spotrust_jax.calibration.areas import LEVEL, AreaCalibration, fit_areas_to_pixels
from spotrust_jax.calibration.conformal import needed_groups
from spotrust_jax.calibration.fitting import (
    best_f1_threshold,
    fit_platt_scaling,
    fit_temperature,
)
from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.calibration.platt import SMALLEST_PROBABILITY, PlattScaling
from spotrust_jax.calibration.promises import Marked, Promise, PromiseRequest, losses, marked_shares, promised_threshold
from spotrust_jax.checkpoints import CheckpointConfig, ModelCard
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.seen import SeenPhotographs, photograph_hash
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.metrics.corp import corp
from spotrust_jax.metrics.pixel_scores import COARSER_BITS
from spotrust_jax.metrics.reliability import (
    ProperScores,
    coarser_probabilities,
    equal_mass,
    probability_histogram,
    sharpness,
)

THRESHOLDS = expit(np.linspace(-16, 16, 4001))
"""Raw probabilities that are tried as thresholds that promise something."""


class CalibrationData(NamedTuple):
    """What calibration goes by.

    Attributes:
        by_probability: all scored pixels by their raw probability.
        marked: what each of `THRESHOLDS` marks in each photograph.
        groups: what each photograph belongs to.
        each: the pixels of each photograph by their raw probability, in coarser bins.
        photographs: which they are.
    """

    by_probability: Histogram
    marked: Marked
    groups: tuple[str, ...]
    each: tuple[Histogram, ...]
    photographs: SeenPhotographs = SeenPhotographs()

    @property
    def corroded(self) -> Bool[np.ndarray, "images"]:
        """Which photographs show any corrosion; the others have none to miss, and say nothing of a miss rate."""
        return self.marked.corroded > 0

    @property
    def missed(self) -> Float64[np.ndarray, "images thresholds"]:
        """Of each photograph, share of its corrosion below each of `THRESHOLDS`; 0 where it has none."""
        return losses(self.marked, PromiseRequest("miss_rate", 0.5))


class Quality(NamedTuple):
    """Of probabilities; metrics/probabilities.py and metrics/corp.py say what each is."""

    negative_log_likelihood: float
    brier: float
    brier_skill: float
    ece_equal_mass: float
    miscalibration: float
    discrimination: float
    sharpness: float


def predict_split(segmenter: Segmenter, dataset: Dataset, analysis: Analysis) -> CalibrationData:
    """Predicts every photograph of a split.

    Raises:
        InputError: where there is none, or all pixels of one are ignored.
    """
    raw, by_probability, each, marked, groups, hashes = segmenter.uncalibrated, None, [], [], [], []
    for example in tqdm(dataset, desc="calibration", unit="photo", mininterval=1.0):
        example.require_scored()
        probability = predict_photograph(raw, example.image, analysis).probability[example.scored]
        truth = example.mask[example.scored]
        found = probability_histogram(probability, truth)
        by_probability = found if by_probability is None else by_probability + found
        each.append(coarser_probabilities(found, COARSER_BITS))
        marked.append(marked_shares(probability, truth, THRESHOLDS))
        groups.append(example.group)
        hashes.append(photograph_hash(example.image))
    if by_probability is None:
        raise InputError("the split to calibrate on has no photograph: give a data set with labelled photographs")
    photographs = SeenPhotographs(tuple(dataset.names), tuple(hashes))
    found = Marked(*map(np.array, zip(*marked, strict=True)))
    return CalibrationData(by_probability, found, tuple(groups), tuple(each), photographs)


def calibrated(
    config: CheckpointConfig, observed: CalibrationData, wanted: PromiseRequest | None = None
) -> CheckpointConfig:
    """The configuration with the calibration of the highest likelihood, a threshold, and what intervals of areas need.

    The threshold is that of the best F1 over all pixels or, where something is `wanted`, the one that promises it
    (`promised_threshold`). Where there are too few groups, areas have no intervals.

    Raises:
        InputError: where the photographs show no corrosion or nothing else, all pixels have one probability, or what is
            wanted cannot be promised from them.
    """
    calibration = fit_platt_scaling(observed.by_probability, config.positive_weight)
    if wanted is None:
        raw, promise = best_f1_threshold(observed.by_probability), Promise()
        rule = f"best F1, on {len(observed.groups)} photographs in {len(set(observed.groups))} groups"
    else:
        raw, promise = promised_threshold(observed.marked, observed.groups, THRESHOLDS, wanted)
        rule = promise.words
    threshold = float(calibration(np.float64(raw)))
    return dataclasses.replace(
        config,
        calibration=calibration,
        threshold=threshold,
        threshold_rule=rule,
        promise=promise,
        areas=_area_calibration(config, observed),
        calibrated_on=observed.photographs,
        card=ModelCard(),  # its scores are those of another calibration
    )


def _area_calibration(config: CheckpointConfig, observed: CalibrationData) -> AreaCalibration:
    corroded = {group for group, some in zip(observed.groups, observed.corroded, strict=True) if some}
    sound = {
        group for group, one in zip(observed.groups, observed.each, strict=True) if (one.counts > one.sums[1]).any()
    }
    if len(set(observed.groups)) < needed_groups(1 - LEVEL) or min(len(corroded), len(sound)) < 2:
        return AreaCalibration()
    return fit_areas_to_pixels(observed.each, observed.groups, config.positive_weight)


def candidates(observed: CalibrationData, config: CheckpointConfig) -> dict[str, PlattScaling]:
    """None, the best temperature alone, and the configuration's calibration."""
    temperature = fit_temperature(observed.by_probability)
    return {"raw": PlattScaling(), "temperature": temperature, "platt": config.calibration}


def quality_of(by_raw_probability: Histogram, calibration: PlattScaling) -> Quality:
    """What a calibration makes of raw probabilities, from the mean of each bin."""
    counts, (probabilities, corroded) = by_raw_probability.counts, by_raw_probability.sums
    mean = np.clip(calibration(probabilities / counts), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    sound = counts - corroded
    likelihood = -(corroded * np.log(mean) + sound * np.log1p(-mean)).sum()
    squared = (corroded * (1 - mean) ** 2 + sound * mean**2).sum()
    proper = ProperScores(float(counts.sum()), float(likelihood), float(squared), float(corroded.sum()))
    # Calibration keeps the order, so bins of one mass can still be formed by the raw probabilities.
    by_probability = dataclasses.replace(by_raw_probability, sums=np.stack([mean * counts, corroded]))
    parts = corp(by_probability)
    return Quality(
        float(proper.likelihood),
        float(proper.brier),
        float(proper.brier_skill),
        float(equal_mass(by_probability).expected_error),
        float(parts.miscalibration),
        float(parts.discrimination),
        float(sharpness(by_probability)),
    )


def table(found: dict[str, Quality]) -> str:
    """As Markdown."""
    rows = [f"| {name} | {' | '.join(f'{value:.4f}' for value in quality)} |" for name, quality in found.items()]
    names = Quality._fields
    return "\n".join([f"| probabilities | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}", *rows])
