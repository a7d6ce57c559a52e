"""Whether uncertainty detects photographs out of distribution."""

import numpy as np
from jaxtyping import Float64

from spotrust_jax.calibration.histogram import Histogram, score_histogram, stacked
from spotrust_jax.evaluation.evaluate import Evaluation, Means, OutOfDistribution
from spotrust_jax.metrics.detection import DETECTION
from spotrust_jax.metrics.metric import Values
from spotrust_jax.metrics.pixel_scores import UNCERTAINTIES
from spotrust_jax.metrics.ranking import Detection, detection

Weights = Float64[np.ndarray, "resamples _images"]

# What is detected: photographs by the mean of a score, and pixels.
_KINDS = ("image", "pixel")


def detection_between(known: Histogram, ood: Histogram) -> Detection:
    """Detection of what is out of distribution by a score, for any number of sets at once."""
    bins = np.union1d(known.bins, ood.bins)
    return detection(_counts(known, bins), _counts(ood, bins))


def by_image(known: Means, ood: Means, score: str) -> Detection:
    """Of single photographs, by the mean of a score over their pixels."""
    return detection_between(score_histogram(known[score]), score_histogram(ood[score]))


def out_of_distribution_measures(evaluation: Evaluation, ood: OutOfDistribution, score: str) -> Values:
    """Detection by a score of single photographs (image_...) and of single pixels (pixel_...)."""
    pixels = detection_between(evaluation.pooled.ranked[score], ood.pooled[score])
    return _named(by_image(evaluation.means, ood.means, score), pixels)


class Resampled:
    """The same measures for resamples of both groups of photographs."""

    def __init__(self, evaluation: Evaluation, ood: OutOfDistribution, score: str):
        groups = (evaluation.means[score], ood.means[score])
        self._images = [stacked([score_histogram(value[None]) for value in values]) for values in groups]
        self._pixels = [
            stacked([one.ranked[score] for one in evaluation.each]),
            stacked([one[score] for one in ood.each]),
        ]

    def __call__(self, known: Weights, ood: Weights) -> Values:
        """Measures [resamples], from how often each photograph counts."""
        images, pixels = (
            detection_between(group[0].resampled(known), group[1].resampled(ood))
            for group in (self._images, self._pixels)
        )
        return _named(images, pixels)


def best_score(evaluation: Evaluation, ood: OutOfDistribution) -> str:
    """The uncertainty whose mean over a photograph detects best; choose it on other photographs than it is used on."""
    return max(UNCERTAINTIES, key=lambda score: by_image(evaluation.means, ood.means, score).auroc)


def detection_ranges() -> dict[str, tuple[float, float]]:
    """The values that each of the measures can have."""
    return {_name(kind, metric.name): metric.range for kind in _KINDS for metric in DETECTION.metrics}


def _named(*kinds: Detection) -> Values:
    pairs = zip(_KINDS, kinds, strict=True)
    return {_name(kind, name): value for kind, found in pairs for name, value in DETECTION.compute(found).items()}


def _name(kind: str, metric: str) -> str:
    return f"{kind}_{metric}"


def _counts(histogram: Histogram, bins: np.ndarray) -> np.ndarray:
    """With zeros where it has no such bin."""
    counts = np.zeros((*histogram.counts.shape[:-1], len(bins)))
    counts[..., np.searchsorted(bins, histogram.bins)] = histogram.counts
    return counts
