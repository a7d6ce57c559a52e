"""Metrics of binary masks from mergeable pixel counts, on the host in numpy. bootstrap.py has their intervals."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Num

from spotrust_jax.errors import InputError
from spotrust_jax.metrics.metric import Group, Metric, PerSet


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Numbers of pixels, corrosion being positive. `Confusion()` is the zero of the addition."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


# One number for each set of images.
Pixels = np.integer | Num[np.ndarray, "*sets"]


class Counts(NamedTuple):
    """The fields of `Confusion` for any number of sets of images."""

    true_positive: Pixels
    false_positive: Pixels
    false_negative: Pixels
    true_negative: Pixels

    @property
    def wrong(self) -> Pixels:
        """Pixels of either kind that are classified as the other."""
        return self.false_positive + self.false_negative

    def ratio(self, part: Pixels, whole: Pixels) -> PerSet:
        """Part / whole of corrosion; where neither truth nor prediction has any, all of nothing was found: 1.

        Any other 0 / 0 is 0: precision where corrosion is missed, recall where all of it is false.
        """
        return _ratio(part, whole, self.true_positive + self.wrong == 0)


class IouCorrosion(Metric):
    """Intersection over union of corrosion; its mean per image is the paper's mIoU."""

    name, label = "iou_corrosion", "IoU of corrosion"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        return counts.ratio(counts.true_positive, counts.true_positive + counts.wrong)


class Miou(Metric):
    """Mean of the intersections over unions of corrosion and of background."""

    name, label = "miou", "mIoU of both classes"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        background = Counts(counts.true_negative, counts.false_negative, counts.false_positive, counts.true_positive)
        return (IouCorrosion.compute(counts) + IouCorrosion.compute(background)) / 2


class F1(Metric):
    """Harmonic mean of precision and recall."""

    name, label = "f1", "F1"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        return counts.ratio(2 * counts.true_positive, 2 * counts.true_positive + counts.wrong)


class Precision(Metric):
    """Share of the pixels classified as corrosion that are."""

    name, label = "precision", "Precision"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        return counts.ratio(counts.true_positive, counts.true_positive + counts.false_positive)


class Recall(Metric):
    """Share of the corroded pixels that are classified as corrosion."""

    name, label = "recall", "Recall"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        return counts.ratio(counts.true_positive, counts.true_positive + counts.false_negative)


class Accuracy(Metric):
    """Share of all pixels that are classified as what they are."""

    name, label = "accuracy", "Accuracy"

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        right = counts.true_positive + counts.true_negative
        return _ratio(right, right + counts.wrong, right + counts.wrong == 0)


class MatthewsCorrelation(Metric):
    """Correlation of truth and prediction over pixels (Matthews 1975); 0 for a constant mask."""

    name, label, range = "mcc", "MCC", (-1.0, 1.0)

    @staticmethod
    def compute(counts: Counts) -> PerSet:
        tp, fp, fn, tn = (np.asarray(count, np.float64) for count in counts)
        covariance = tp * tn - fp * fn
        scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        # Without a class there is no correlation; a mask without an error counts as a perfect one all the same.
        return np.where(counts.wrong == 0, 1.0, covariance / np.where(scale > 0, scale, 1.0))[()]


MASKS = Group("Masks", (IouCorrosion, Miou, F1, Precision, Recall, Accuracy, MatthewsCorrelation))

Scores = collections.namedtuple("Scores", MASKS.names)
"""The metrics of masks by name; arrays where several sets of images were scored at once."""


def confusion(prediction: Bool[np.ndarray, "*shape"], truth: Bool[np.ndarray, "*shape"]) -> Confusion:
    """Count the pixels of one mask, or of any stack of masks, against the truth; true is corrosion."""
    true_positive = int(np.count_nonzero(prediction & truth))
    false_positive = int(np.count_nonzero(prediction)) - true_positive
    false_negative = int(np.count_nonzero(truth)) - true_positive
    true_negative = truth.size - true_positive - false_positive - false_negative
    return Confusion(true_positive, false_positive, false_negative, true_negative)


def count_array(confusions: Sequence[Confusion]) -> Int64[np.ndarray, "images 4"]:
    """One row for each image, columns in the order of the fields of `Confusion`. No image at all is an `InputError`."""
    if not confusions:
        raise InputError("there is no image to score: give at least one image with a mask")
    return np.array([dataclasses.astuple(item) for item in confusions], np.int64)


def scores(confusion: Confusion) -> Scores:
    """Scores of one set of pixels."""
    return _score_counts(count_array([confusion])[0])


def pooled_scores(confusions: Sequence[Confusion] | Num[np.ndarray, "*sets images 4"]) -> Scores:
    """Scores of all pixels of all images together: large images and large areas weigh more.

    Takes one confusion for each image, or rows of `count_array` with any leading axes, which the scores then have too.
    """
    return _score_counts(_as_counts(confusions).sum(axis=-2))


def mean_scores(confusions: Sequence[Confusion] | Num[np.ndarray, "*sets images 4"]) -> Scores:
    """Each image scored by itself, then averaged: every image weighs the same.

    `iou_corrosion` of this is the column that Nash et al. 2022 call mIoU. Arguments as for `pooled_scores`.
    """
    return Scores(*(value.mean(axis=-1) for value in _score_counts(_as_counts(confusions))))


def _as_counts(
    confusions: Sequence[Confusion] | Num[np.ndarray, "*sets images 4"],
) -> Num[np.ndarray, "*sets images 4"]:
    return confusions if isinstance(confusions, np.ndarray) else count_array(confusions)


def _score_counts(counts: Num[np.ndarray, "*sets 4"]) -> Scores:
    return Scores(**MASKS.compute(Counts(*np.moveaxis(counts, -1, 0))))


def _ratio(part, whole, empty):
    """Return part / whole, which is never above 1; 0 / 0 is 1 where the class is `empty`, which implies it, else 0."""
    return part / np.maximum(whole, 1) + empty
