"""How far a score would move with another draw of test images: percentile bootstrap over images.

What is scored, and how, is in metrics.py.
"""

from collections.abc import Callable, Sequence

import numpy as np

from spotrust_jax.evaluation.metrics import Confusion, Scores, count_array

# Images drawn at a time: bounds the memory for large test sets, and changes no result.
_DRAWN_AT_A_TIME = 1 << 20


def bootstrap_interval(
    confusions: Sequence[Confusion],
    statistic: Callable[..., Scores],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Scores, Scores]:
    """Lower and upper end of the percentile interval of each score, images resampled with replacement.

    `statistic` is `pooled_scores` or `mean_scores`: it maps counts [resamples, images, 4] to scores [resamples]. Images
    count as independent; several of the same structure are not, and the interval is then too narrow. A single image
    says nothing about others, and its interval is its own score. Efron and Tibshirani 1993, chapter 13.
    """
    counts = count_array(confusions)
    images = len(counts)
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_A_TIME // images)
    blocks = [
        np.stack(statistic(counts[generator.integers(images, size=(min(rows, resamples - start), images))]))
        for start in range(0, resamples, rows)
    ]
    tail = (1 - level) / 2
    lower, upper = np.quantile(np.concatenate(blocks, axis=1), [tail, 1 - tail], axis=1)
    return Scores(*lower), Scores(*upper)
