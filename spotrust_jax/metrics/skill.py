"""Whether a model ranks corrosion above background at all, whatever its calibration and threshold, in words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spotrust_jax.calibration.histogram import Histogram, stacked
from spotrust_jax.metrics.metric import PerSet
from spotrust_jax.metrics.ranking import detection

_RESAMPLES, _LEVEL = 1000, 0.95


class Ranking(NamedTuple):
    """AUROC of the pixels of several photographs together, and its percentile interval over photographs."""

    auroc: float
    low: float
    high: float


def ranking(each: Sequence[Histogram]) -> Ranking | None:
    """From `probability_histogram` of each photograph; None where their pixels are all of one kind."""
    histograms = stacked(each)
    whole = _auroc(histograms.resampled(np.ones((1, len(each)))))[0]
    if np.isnan(whole):
        return None
    weights = np.random.default_rng(0).multinomial(len(each), np.full(len(each), 1 / len(each)), _RESAMPLES)
    drawn = _auroc(histograms.resampled(weights.astype(np.float64)))
    low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Ranking(float(whole), float(low), float(high))


def without_skill(each: Sequence[Histogram]) -> str | None:
    """A warning about a model whose ranking may be random on these photographs; None if it is better."""
    found = ranking(each)
    if found is None or found.low > 0.5:
        return None
    return (
        f"this model knows nothing: it ranks corroded pixels no higher than others (AUROC {found.auroc:.3f}, 95% "
        f"interval {found.low:.3f} to {found.high:.3f} over {len(each)} photographs, 0.5 is random): do not use its "
        f"maps, train it longer or on more photographs"
    )


def _auroc(by_probability: Histogram) -> PerSet:
    """NaN for sets whose pixels are all of one kind."""
    corroded = by_probability.sums[..., 1, :]
    with np.errstate(invalid="ignore"):
        return detection(by_probability.counts - corroded, corroded).auroc
