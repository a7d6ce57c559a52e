"""A trained model measured on labelled photographs, and on photographs out of distribution, at their own size.

What comes of the measurements, with intervals, is in measures.py; files are in tables.py and figures.py.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float64, UInt8
from tqdm import tqdm

from spotrust_jax.calibration.histogram import Histogram, score_histogram
from spotrust_jax.data.example import Dataset, Example
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.metrics.masks import Confusion
from spotrust_jax.metrics.pixel_scores import COARSER_BITS, PATCH, PixelScores, pixel_scores, uncertainty_maps

Means = dict[str, Float64[np.ndarray, "_images"]]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model on labelled photographs.

    Attributes:
        model: its name.
        images: names of the photographs.
        groups: what each of them belongs to, such as a structure.
        pooled: of all pixels of all of them.
        each: of each, in coarser bins.
        means: mean of each uncertainty over the scored pixels of each photograph.
        threshold: of the mask.
    """

    model: str
    images: tuple[str, ...]
    groups: tuple[str, ...]
    pooled: PixelScores
    each: tuple[PixelScores, ...]
    means: Means
    threshold: float

    @property
    def confusions(self) -> tuple[Confusion, ...]:
        """Of each photograph."""
        return tuple(Confusion(*map(int, one.confusion)) for one in self.each)


@dataclasses.dataclass(frozen=True)
class OutOfDistribution:
    """A model on photographs out of distribution, which have no labels.

    Attributes:
        images: names of the photographs.
        pooled: pixels of all of them by each uncertainty.
        each: of each photograph, in coarser bins.
        means: mean of each uncertainty over each photograph.
        corroded: share of each photograph that is called corrosion.
    """

    images: tuple[str, ...]
    pooled: dict[str, Histogram]
    each: tuple[dict[str, Histogram], ...]
    means: Means
    corroded: Float64[np.ndarray, "images"]


def evaluate(
    model: str,
    segmenter: Segmenter,
    dataset: Dataset,
    analysis: Analysis,
    threshold: float | None = None,
    *,
    patch: int = PATCH,
    look: Callable[[Example, Prediction], None] = lambda example, prediction: None,
) -> Evaluation:
    """Predicts every photograph of a split and measures.

    Args:
        model: name in the tables.
        segmenter: the model.
        dataset: the split.
        analysis: how photographs are analysed.
        threshold: of the mask, the model's own unless given.
        patch: side in pixels of the patches of PAvPU.
        look: is shown every photograph with its prediction.

    Raises:
        InputError: where there is nothing to score.
    """
    threshold = segmenter.config.threshold if threshold is None else threshold
    pooled, groups, each, means = None, [], [], []
    for example in tqdm(dataset, desc=model, unit="photo", mininterval=1.0):
        example.require_scored()
        prediction = predict_photograph(segmenter, example.image, _decomposed(analysis))
        mask = prediction.mask(threshold)
        found = pixel_scores(prediction, mask, example.mask, example.scored, patch=patch)
        pooled = found if pooled is None else pooled + found
        groups.append(example.group)
        each.append(found.coarser)
        means.append(_means(uncertainty_maps(prediction, mask), example.scored))
        look(example, prediction)
    if pooled is None:
        raise InputError("there is no image to score: give at least one image with a mask")
    return Evaluation(model, tuple(dataset.names), tuple(groups), pooled, tuple(each), _columns(means), threshold)


def evaluate_out_of_distribution(
    segmenter: Segmenter,
    images: Iterable[tuple[str, UInt8[np.ndarray, "height width 3"]]],
    analysis: Analysis,
    threshold: float | None = None,
    *,
    look: Callable[[np.ndarray, Prediction], None] = lambda image, prediction: None,
) -> OutOfDistribution:
    """Predicts photographs of things that the model was not trained for: names and images. As for `evaluate`."""
    pooled, names, each, means, called = None, [], [], [], []
    for name, image in tqdm(images, desc="out of distribution", unit="photo", mininterval=1.0):
        prediction = predict_photograph(segmenter, image, _decomposed(analysis))
        mask = prediction.mask(threshold)
        maps = uncertainty_maps(prediction, mask)
        found = {score: score_histogram(values.ravel()) for score, values in maps.items()}
        pooled = found if pooled is None else {score: one + found[score] for score, one in pooled.items()}
        names.append(name)
        each.append({score: one.coarser(COARSER_BITS) for score, one in found.items()})
        means.append(_means(maps, np.ones(image.shape[:2], bool)))
        called.append(mask.mean())
        look(image, prediction)
    if pooled is None:
        raise InputError("there is no photograph out of distribution: give at least one")
    return OutOfDistribution(tuple(names), pooled, tuple(each), _columns(means), np.array(called, np.float64))


def _decomposed(analysis: Analysis) -> Analysis:
    return dataclasses.replace(analysis, decomposed=True)


def _means(maps: dict[str, np.ndarray], scored: np.ndarray) -> dict[str, float]:
    return {name: float(values[scored].mean(dtype=np.float64)) for name, values in maps.items()}


def _columns(means: list[dict[str, float]]) -> Means:
    return {name: np.array([one[name] for one in means]) for name in means[0]}
