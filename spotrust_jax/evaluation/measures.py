"""All metrics of evaluations, each with its 95% bootstrap interval over photographs, as plain records."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from spotrust_jax.evaluation.evaluate import Evaluation, OutOfDistribution
from spotrust_jax.evaluation.out_of_distribution import Resampled, detection_ranges, out_of_distribution_measures
from spotrust_jax.metrics.bootstrap import Interval, Measures, bootstrap_interval, measure_intervals
from spotrust_jax.metrics.masks import Scores, mean_scores, pooled_scores
from spotrust_jax.metrics.metric import PerSet, Values
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES, PixelScores, stacked_scores
from spotrust_jax.metrics.probabilities import PROBABILITIES
from spotrust_jax.metrics.ranking_errors import RANKING_ERRORS, ranked
from spotrust_jax.metrics.registry import value_range

# Pooled: over all pixels of all images together. Per image: each image scored, then averaged, as the paper's table.
AVERAGES = {"pooled": pooled_scores, "per_image": mean_scores}


class Measure(NamedTuple):
    """A metric of a model.

    Attributes:
        model: its name.
        group: pooled, per_image, probability, an uncertainty, or out_of_distribution/ and an uncertainty.
        metric: its name.
        value: what it is.
        low, high: ends of its interval.
    """

    model: str
    group: str
    metric: str
    value: float
    low: float
    high: float


def summarize(evaluation: Evaluation, ood: OutOfDistribution | None = None) -> list[Measure]:
    """Every metric; those of what is out of distribution where there is any."""
    groups = {name: _mask_scores(evaluation, name) for name in AVERAGES}
    groups |= _pixel_measures(evaluation)
    return [
        *_records(evaluation.model, groups),
        *(summarize_out_of_distribution(evaluation, ood) if ood is not None else []),
    ]


def summarize_out_of_distribution(evaluation: Evaluation, ood: OutOfDistribution) -> list[Measure]:
    """The metrics of what is out of distribution alone."""
    groups = {f"out_of_distribution/{score}": _out_of_distribution(evaluation, ood, score) for score in UNCERTAINTIES}
    return _records(evaluation.model, groups)


_Measured = tuple[Values, Mapping[str, Interval]]


def _records(model: str, groups: Mapping[str, _Measured]) -> list[Measure]:
    return [
        Measure(model, group, metric, float(value), *intervals[metric])
        for group, (values, intervals) in groups.items()
        for metric, value in values.items()
    ]


def _mask_scores(evaluation: Evaluation, average: str) -> _Measured:
    values = AVERAGES[average](evaluation.confusions)._asdict()
    lower, upper = bootstrap_interval(evaluation.confusions, AVERAGES[average])
    ends = zip(Scores._fields, lower, upper, strict=True)
    return values, {name: (float(low), float(high)) for name, low, high in ends}


def _pixel_measures(evaluation: Evaluation) -> dict[str, _Measured]:
    """By group; resampled together, which costs most."""
    each = stacked_scores(evaluation.each)

    def of_resamples(weights: Float64[np.ndarray, "resamples images"]) -> Measures:
        return _by_group_and_name(each.resampled(weights))

    values = _by_group_and_name(evaluation.pooled)
    ranges = {(group, name): value_range(name) for group, name in values}
    intervals = measure_intervals(of_resamples, values, [len(evaluation.images)], ranges)
    groups = dict.fromkeys(group for group, _ in values)
    return {group: (_of_group(values, group), _of_group(intervals, group)) for group in groups}


def _of_group(found: Mapping[tuple[str, str], Any], group: str) -> dict[str, Any]:
    return {name: value for (other, name), value in found.items() if other == group}


def _by_group_and_name(scores: PixelScores) -> dict[tuple[str, str], PerSet]:
    groups = {"probability": PROBABILITIES.compute(scores)}
    groups |= {name: RANKING_ERRORS.compute(ranked(scores, name)) for name in UNCERTAINTIES}
    return {(group, name): value for group, values in groups.items() for name, value in values.items()}


def _out_of_distribution(evaluation: Evaluation, ood: OutOfDistribution, score: str) -> _Measured:
    values = out_of_distribution_measures(evaluation, ood, score)
    resampled, images = Resampled(evaluation, ood, score), [len(evaluation.images), len(ood.images)]
    return values, measure_intervals(resampled, values, images, detection_ranges())
