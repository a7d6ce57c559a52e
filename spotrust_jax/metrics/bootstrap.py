"""How far a metric would move with another draw of test images: percentile bootstrap over images, not pixels.

What is measured, and how, is in metrics.py and measures.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from spotrust_jax.metrics.masks import Confusion, Scores, count_array

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


Interval = tuple[float, float]

# By any names.
Measures = Mapping[Any, float | Float64[np.ndarray, "*sets"]]

# Resamples whose histograms are in memory at a time.
_RESAMPLES_AT_A_TIME = 50


def measure_intervals(
    measure: Callable[..., Measures],
    values: Measures,
    images: Sequence[int],
    ranges: Mapping[Any, Interval],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[Any, Interval]:
    """Percentile interval of each measure of one or several groups of images, each resampled by itself.

    `measure` takes for each group how often each of its images counts, [resamples, images], and gives the measures of
    each resample. Where it goes by coarser bins than `values`, the interval is moved by what those make of the images
    as they are, but not out of the range of values that the measure has. The remarks on `bootstrap_interval` hold here.
    """
    drawn = [measure(*weights) for weights in _weights(images, resamples, seed)]
    plain = measure(*(np.ones((1, count)) for count in images))
    tail = (1 - level) / 2
    intervals = {}
    for name, value in values.items():
        ends = np.quantile(np.concatenate([one[name] for one in drawn]), [tail, 1 - tail])
        low, high = np.clip(ends + (value - plain[name][0]), *ranges[name])
        intervals[name] = (float(low), float(high))
    return intervals


def _weights(images: Sequence[int], resamples: int, seed: int) -> Iterator[list[Float64[np.ndarray, "_ _images"]]]:
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _RESAMPLES_AT_A_TIME):
        rows = min(_RESAMPLES_AT_A_TIME, resamples - start)
        yield [generator.multinomial(count, np.full(count, 1 / count), rows).astype(np.float64) for count in images]
