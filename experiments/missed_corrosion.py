"""Where the corrosion is that masks miss: how much of it is in the photographs that an order puts first."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from spotrust_jax.data.example import Dataset
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.metrics.bootstrap import LEVEL, RESAMPLES, group_weights, tail_of

# What photographs are sorted by, the largest first, and the field of `Reviewed` that has it.
_ORDERS = {
    "expected missed area": "expected_missed",
    "entropy": "entropy",
    "corroded area": "area",
    "mutual information": "mutual_information",
}


class Reviewed(NamedTuple):
    """A photograph of a known mask.

    Attributes:
        name, group: of the photograph.
        expected_missed: mean over the pixels of the calibrated probability where it is below the threshold, else 0.
        entropy, mutual_information: means over the pixels, of the raw passes, in nats.
        area: share of the pixels that the mask marks.
        missed: corroded pixels that the mask leaves out.
    """

    name: str
    group: str
    expected_missed: float
    entropy: float
    mutual_information: float
    area: float
    missed: int


class Ranking(NamedTuple):
    """Shares of all missed corrosion that are found by looking at some photographs again.

    Attributes:
        found: in the order that is measured.
        low, high: ends of its 95% bootstrap interval over groups of photographs.
        random: on average in random order.
        perfect: in the best order there is.
    """

    found: float
    low: float
    high: float
    random: float
    perfect: float


def review_dataset(
    segmenter: Segmenter, dataset: Dataset, analysis: Analysis, threshold: float | None = None
) -> list[Reviewed]:
    """Predicts every photograph of a split; the analysis is decomposed, the threshold the model's own unless given."""
    threshold = segmenter.config.threshold if threshold is None else threshold
    reviewed = []
    for example in tqdm(dataset, unit="photo", mininterval=1.0):
        prediction = predict_photograph(segmenter, example.image, analysis)
        mask = prediction.mask(threshold)
        expected_missed = float(np.where(mask, 0, prediction.probability).mean(dtype=np.float64))
        doubt = float(prediction.entropy.mean()), float(prediction.mutual_information.mean())
        missed = int((example.mask & ~mask & example.scored).sum())
        reviewed.append(Reviewed(example.name, example.group, expected_missed, *doubt, float(mask.mean()), missed))
    return reviewed


def rankings(reviewed: Sequence[Reviewed], share: float) -> dict[str, Ranking]:
    """What each order finds in the first share of the photographs; empty where nothing was missed."""
    missed = np.array([item.missed for item in reviewed], np.float64)
    orders = {name: np.array([getattr(item, field) for item in reviewed]) for name, field in _ORDERS.items()}
    groups = [item.group for item in reviewed]
    found = {name: evaluate_ranking(values, missed, groups, share) for name, values in orders.items()}
    return {name: ranking for name, ranking in found.items() if ranking is not None}


def evaluate_ranking(
    scores: Float[np.ndarray, "photographs"],
    missed: Float[np.ndarray, "photographs"],
    groups: Sequence[str],
    share: float = 0.2,
) -> Ranking | None:
    """How much of the missed corrosion (pixels of each photograph) the highest scores have; None where none is missed.

    Args:
        scores: of each photograph; equal ones count as if in random order.
        missed: corroded pixels that the mask leaves out.
        groups: of photographs, which the interval resamples.
        share: of the photographs that are looked at again, rounded up.
    """
    if not missed.any():
        return None
    drawn = group_weights(groups, RESAMPLES, np.random.default_rng(0)).astype(int)
    places = [np.repeat(np.arange(len(scores)), row) for row in drawn]
    found = [_found(scores[one], missed[one], share) for one in places if missed[one].any()]
    tail = tail_of(LEVEL, len(set(groups)))
    low, high = np.quantile(found, [tail, 1 - tail]).tolist()
    random = _looked_at(len(scores), share) / len(scores)
    return Ranking(_found(scores, missed, share), low, high, random, _found(missed, missed, share))


def _looked_at(count: int, share: float) -> int:
    return math.ceil(share * count - 1e-9)


def _found(scores: Float[np.ndarray, "photographs"], missed: Float[np.ndarray, "photographs"], share: float) -> float:
    count = _looked_at(len(scores), share)
    last = np.sort(scores)[::-1][count - 1]
    above, equal = scores > last, scores == last
    return float((missed[above].sum() + missed[equal].mean() * (count - above.sum())) / missed.sum())
