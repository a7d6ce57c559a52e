"""Review scores of labelled photographs beside the corrosion that their masks miss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from spotrust_jax.data.example import Dataset
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.outputs.rendering import small_photograph
from spotrust_jax.report.review import Ranking, evaluate_ranking, review_score, unfamiliarity

# What an order by the score is compared with: orders by its parts.
_ORDERS = {
    "review score": "score",
    "corroded area": "area",
    "entropy": "entropy",
    "mutual information": "mutual_information",
    "unfamiliarity": "unfamiliarity",
}


class Reviewed(NamedTuple):
    """A photograph's score, the parts of it, and corroded pixels that its mask leaves out."""

    name: str
    score: float
    area: float
    entropy: float
    mutual_information: float
    unfamiliarity: float
    missed: int


def review_dataset(
    segmenter: Segmenter, dataset: Dataset, analysis: Analysis, threshold: float | None = None
) -> list[Reviewed]:
    """Predicts every photograph of a split; the analysis is decomposed, the threshold the model's own unless given."""
    reviewed = []
    for example in tqdm(dataset, unit="photo", mininterval=1.0):
        prediction = predict_photograph(segmenter, example.image, analysis)
        mask = prediction.mask(threshold)
        small = small_photograph(example.image)
        unlike = unfamiliarity(small, segmenter.config.mean, segmenter.config.std)
        doubt = float(prediction.entropy.mean()), float(prediction.mutual_information.mean())
        parts = float(mask.mean()), *doubt, unlike
        missed = int((example.mask & ~mask & example.scored).sum())
        reviewed.append(Reviewed(example.name, review_score(*parts), *parts, missed))
    return reviewed


def rankings(reviewed: Sequence[Reviewed], share: float) -> dict[str, Ranking]:
    """What orders by the score and by each of its parts find; empty where nothing was missed."""
    missed = np.array([item.missed for item in reviewed], np.float64)
    orders = {name: np.array([getattr(item, part) for item in reviewed]) for name, part in _ORDERS.items()}
    found = {name: evaluate_ranking(scores, missed, share) for name, scores in orders.items()}
    return {name: ranking for name, ranking in found.items() if ranking is not None}
