"""Scores of binary masks from mergeable pixel counts, on the host in numpy.

Where the masks come from (models, thresholds, files) is decided elsewhere; intervals are in bootstrap.py.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spotrust_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Numbers of pixels, corrosion being positive. `Confusion()` is the zero of the addition."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


class Scores(NamedTuple):
    """Scores in [0, 1], higher is better; arrays where several sets of images were scored at once.

    Where corrosion is neither in the truth nor in the prediction there was nothing to find and nothing was found:
    `iou_corrosion`, `f1`, `precision` and `recall` are 1. Any other 0 / 0 is 0: precision where corrosion was there and
    none was predicted, recall where none was there and some was predicted. Background follows the same rule in `miou`,
    the mean over both classes.
    """

    iou_corrosion: float | Float64[np.ndarray, "..."]
    miou: float | Float64[np.ndarray, "..."]
    f1: float | Float64[np.ndarray, "..."]
    precision: float | Float64[np.ndarray, "..."]
    recall: float | Float64[np.ndarray, "..."]
    accuracy: float | Float64[np.ndarray, "..."]


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


def pooled_scores(confusions: Sequence[Confusion] | Int64[np.ndarray, "*sets images 4"]) -> Scores:
    """Scores of all pixels of all images together: large images and large areas weigh more.

    Takes one confusion for each image, or rows of `count_array` with any leading axes, which the scores then have too.
    """
    return _score_counts(_as_counts(confusions).sum(axis=-2))


def mean_scores(confusions: Sequence[Confusion] | Int64[np.ndarray, "*sets images 4"]) -> Scores:
    """Each image scored by itself, then averaged: every image weighs the same.

    `iou_corrosion` of this is the column that Nash et al. 2022 call mIoU. Arguments as for `pooled_scores`.
    """
    return Scores(*(value.mean(axis=-1) for value in _score_counts(_as_counts(confusions))))


def _as_counts(
    confusions: Sequence[Confusion] | Int64[np.ndarray, "*sets images 4"],
) -> Int64[np.ndarray, "*sets images 4"]:
    return confusions if isinstance(confusions, np.ndarray) else count_array(confusions)


def _score_counts(counts: Int64[np.ndarray, "*sets 4"]) -> Scores:
    true_positive, false_positive, false_negative, true_negative = np.moveaxis(counts, -1, 0)
    wrong = false_positive + false_negative
    right = true_positive + true_negative
    no_corrosion = true_positive + wrong == 0
    no_background = true_negative + wrong == 0
    iou_corrosion = _ratio(true_positive, true_positive + wrong, no_corrosion)
    iou_background = _ratio(true_negative, true_negative + wrong, no_background)
    return Scores(
        iou_corrosion=iou_corrosion,
        miou=(iou_corrosion + iou_background) / 2,
        f1=_ratio(2 * true_positive, 2 * true_positive + wrong, no_corrosion),
        precision=_ratio(true_positive, true_positive + false_positive, no_corrosion),
        recall=_ratio(true_positive, true_positive + false_negative, no_corrosion),
        accuracy=_ratio(right, right + wrong, right + wrong == 0),
    )


def _ratio(part, whole, empty):
    """Return part / whole, which is never above 1; 0 / 0 is 1 where the class is `empty`, which implies it, else 0."""
    return part / np.maximum(whole, 1) + empty
