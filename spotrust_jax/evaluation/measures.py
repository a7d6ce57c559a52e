"""All metrics of evaluations with their 95% bootstrap intervals over groups of photographs, and paired differences."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Num

from spotrust_jax.errors import InputError
from spotrust_jax.evaluation.evaluate import Evaluation, OutOfDistribution
from spotrust_jax.evaluation.out_of_distribution import Resampled, detection_ranges, out_of_distribution_measures
from spotrust_jax.metrics.bootstrap import Deviations, Interval, deviations, interval
from spotrust_jax.metrics.corp import RELIABILITY
from spotrust_jax.metrics.masks import mean_scores, pooled_scores
from spotrust_jax.metrics.metric import PerSet
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES, PixelScores, stacked_scores
from spotrust_jax.metrics.probabilities import PROBABILITIES
from spotrust_jax.metrics.ranking_errors import RANKING_ERRORS, ranked
from spotrust_jax.metrics.registry import value_range

AVERAGES = ("pooled", "per_image")
"""Over all pixels of all photographs together; each photograph scored, then averaged, as the paper's table."""

# Of a group and a metric.
_Name = tuple[str, str]


class Measure(NamedTuple):
    """A metric of a model, or its difference between two.

    Attributes:
        model: its name.
        group: pooled, per_image, probability, reliability/ and a band, an uncertainty, or out_of_distribution/ and an
            uncertainty.
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


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Metrics of a model, by group and name, and how far resamples of the photographs move them.

    Attributes:
        model: its name.
        values: of the photographs as they are.
        deviations: of each resample, the same resamples for every model on the same photographs.
        groups: groups of photographs that are resampled.
    """

    model: str
    values: Mapping[_Name, float]
    deviations: Deviations
    groups: int

    @property
    def measures(self) -> list[Measure]:
        """With intervals."""
        return [
            Measure(self.model, *name, value, *interval(value, self.deviations[name], self.groups, _range(*name)))
            for name, value in self.values.items()
        ]


def summarize(evaluation: Evaluation, ood: OutOfDistribution | None = None) -> list[Measure]:
    """Every metric; those of what is out of distribution where there is any."""
    return [measure for one in estimates(evaluation, ood) for measure in one.measures]


def summarize_out_of_distribution(evaluation: Evaluation, ood: OutOfDistribution) -> list[Measure]:
    """The metrics of what is out of distribution alone."""
    return _out_of_distribution(evaluation, ood).measures


def estimates(evaluation: Evaluation, ood: OutOfDistribution | None = None) -> list[Estimates]:
    """Metrics of the labelled photographs, and those of what is out of distribution where there is any."""
    return [_labelled(evaluation), *([] if ood is None else [_out_of_distribution(evaluation, ood)])]


def differences(first: Sequence[Estimates], other: Sequence[Estimates]) -> list[Measure]:
    """By how much metrics of another model are above those of the first, with intervals of the paired differences.

    Both models are measured on the same resamples. What is hard in a photograph is hard for both, so the interval of
    the difference is narrower than the two intervals suggest.
    """
    return [measure for one, two in zip(first, other, strict=True) for measure in _differences(one, two)]


def require_same_photographs(evaluations: Sequence[Evaluation]) -> None:
    """Raises an `InputError` where models were evaluated on different photographs, which have no paired differences."""
    for other in evaluations[1:]:
        if (other.images, other.groups) != (evaluations[0].images, evaluations[0].groups):
            raise InputError(
                f"{other.model} and {evaluations[0].model} were evaluated on different photographs: "
                f"evaluate both on the same split"
            )


def _differences(first: Estimates, other: Estimates) -> list[Measure]:
    found = []
    for name, value in other.values.items():
        least, greatest = _range(*name)
        values, moved = (least - greatest, greatest - least), other.deviations[name] - first.deviations[name]
        difference = value - first.values[name]
        ends = interval(difference, moved, first.groups, values)
        found.append(Measure(f"{other.model} - {first.model}", *name, difference, *ends))
    return found


def _range(group: str, metric: str) -> Interval:
    return detection_ranges()[metric] if group.startswith("out_of_distribution/") else value_range(metric)


def _labelled(evaluation: Evaluation) -> Estimates:
    each = stacked_scores(evaluation.each)

    def of_resamples(weights: Float64[np.ndarray, "resamples photographs"]) -> dict[_Name, PerSet]:
        return {**_mask_scores(each.confusion, weights), **_by_group_and_name(each.resampled(weights))}

    values = {("pooled", name): value for name, value in pooled_scores(evaluation.confusions)._asdict().items()} | {
        ("per_image", name): value for name, value in mean_scores(evaluation.confusions)._asdict().items()
    }
    values |= _by_group_and_name(evaluation.pooled)
    moved = deviations(of_resamples, [evaluation.groups])
    return Estimates(evaluation.model, _numbers(values), moved, len(set(evaluation.groups)))


def _mask_scores(
    counts: Num[np.ndarray, "photographs 4"], weights: Float64[np.ndarray, "resamples photographs"]
) -> dict[_Name, PerSet]:
    pooled = pooled_scores((weights @ counts)[:, None])
    each, sizes = pooled_scores(counts[:, None]), weights.sum(axis=1)
    found = {("pooled", name): value for name, value in pooled._asdict().items()}
    return found | {("per_image", name): weights @ value / sizes for name, value in each._asdict().items()}


def _by_group_and_name(scores: PixelScores) -> dict[_Name, PerSet]:
    groups = {"probability": PROBABILITIES.compute(scores)}
    groups |= {f"reliability/{band}": RELIABILITY.compute(parts) for band, parts in scores.corp.items()}
    groups |= {name: RANKING_ERRORS.compute(ranked(scores, name)) for name in UNCERTAINTIES}
    return {(group, name): value for group, values in groups.items() for name, value in values.items()}


def _out_of_distribution(evaluation: Evaluation, ood: OutOfDistribution) -> Estimates:
    # Nothing is known of what photographs out of distribution have in common: each is a group of its own.
    sets = [evaluation.groups, ood.images]
    values, moved = {}, {}
    for score in UNCERTAINTIES:
        group = f"out_of_distribution/{score}"
        found = out_of_distribution_measures(evaluation, ood, score)
        values |= {(group, name): value for name, value in found.items()}
        resampled = deviations(Resampled(evaluation, ood, score), sets)
        moved |= {(group, name): value for name, value in resampled.items()}
    return Estimates(evaluation.model, _numbers(values), moved, min(len(set(one)) for one in sets))


def _numbers(values: Mapping[_Name, PerSet]) -> dict[_Name, float]:
    return {name: float(value) for name, value in values.items()}
