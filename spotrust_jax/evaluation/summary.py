"""All metrics of evaluations, each with its 95% bootstrap interval over photographs, as plain records."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

from spotrust_jax.evaluation.evaluate import Evaluation, OutOfDistribution
from spotrust_jax.evaluation.out_of_distribution import Resampled, out_of_distribution_measures
from spotrust_jax.metrics.bootstrap import Interval, Measures, bootstrap_interval, measure_intervals
from spotrust_jax.metrics.masks import Scores, mean_scores, pooled_scores
from spotrust_jax.metrics.measures import Values, probability_measures, uncertainty_measures, value_range
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES, stacked_scores

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
    measures = {"probability": probability_measures}
    measures |= {score: functools.partial(uncertainty_measures, name=score) for score in UNCERTAINTIES}
    each = stacked_scores(evaluation.each)

    def of_all(weights) -> Measures:
        drawn = each.resampled(weights)
        return {(group, name): value for group, of in measures.items() for name, value in of(drawn).items()}

    values = {group: of(evaluation.pooled) for group, of in measures.items()}
    flat = {(group, name): value for group, found in values.items() for name, value in found.items()}
    ranges = {key: value_range(key[1]) for key in flat}
    intervals = measure_intervals(of_all, flat, [len(evaluation.images)], ranges)
    return {group: (found, {name: intervals[group, name] for name in found}) for group, found in values.items()}


def _out_of_distribution(evaluation: Evaluation, ood: OutOfDistribution, score: str) -> _Measured:
    values = out_of_distribution_measures(evaluation, ood, score)
    resampled, images = Resampled(evaluation, ood, score), [len(evaluation.images), len(ood.images)]
    return values, measure_intervals(resampled, values, images, {name: value_range(name) for name in values})
