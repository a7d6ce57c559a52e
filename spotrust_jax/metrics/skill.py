"""Whether a model ranks corrosion above background at all, whatever its calibration and threshold, in words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from spotrust_jax.calibration.histogram import Histogram, stacked
from spotrust_jax.metrics.bootstrap import LEVEL, RESAMPLES, group_weights, in_groups, tail_of
from spotrust_jax.metrics.ranking import detection


class Ranking(NamedTuple):
    """AUROC of the pixels of several photographs together, and its 95% interval over groups of photographs."""

    auroc: float
    low: float
    high: float


def ranking(each: Sequence[Histogram], groups: Sequence[str]) -> Ranking | None:
    """From `probability_histogram` and group of each photograph; None where their pixels are all of one kind."""
    histograms = stacked(each)
    whole = _auroc(histograms.resampled(np.ones((1, len(each)))))[0]
    if np.isnan(whole):
        return None
    weights = group_weights(groups, RESAMPLES, np.random.default_rng(0))
    drawn = _auroc(histograms.resampled(weights))
    tail = tail_of(LEVEL, len(set(groups)))
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Ranking(float(whole), float(low), float(high))


def without_skill(each: Sequence[Histogram], groups: Sequence[str]) -> str | None:
    """A warning about a model whose ranking may be random on these photographs; None if it is better."""
    found = ranking(each, groups)
    if found is None or found.low > 0.5:
        return None
    return (
        f"this model knows nothing: it ranks corroded pixels no higher than others (AUROC {found.auroc:.3f}, 95% "
        f"interval {found.low:.3f} to {found.high:.3f} over {in_groups(groups)}, 0.5 is random): do not use its "
        f"maps, train it longer or on more photographs"
    )


def _auroc(by_probability: Histogram) -> Float[np.ndarray, "sets"]:
    """NaN for sets whose pixels are all of one kind."""
    corroded = by_probability.sums[..., 1, :]
    with np.errstate(invalid="ignore"):
        return np.asarray(detection(by_probability.counts - corroded, corroded).auroc)
