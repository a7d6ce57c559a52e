"""Every metric of probabilities and uncertainties by its name, for any number of sets of images at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from spotrust_jax.metrics.histogram import Histogram
from spotrust_jax.metrics.pixel_scores import PixelScores
from spotrust_jax.metrics.ranking import risk_coverage, sparsification_error
from spotrust_jax.metrics.reliability import above, equal_mass, equal_width, sharpness

Values = dict[str, float | Float64[np.ndarray, "*sets"]]

CERTAIN = 0.8
"""Share of the patches that PAvPU of the tables calls certain."""

# What lies below is background that nobody asks about, and would hide how far off the rest is.
_LIKELY = 0.1


# Measures that may be outside [0, 1].
_RANGES = {"negative_log_likelihood": (0.0, np.inf), "brier_skill": (-np.inf, 1.0), "ause": (0.0, np.inf)}


def value_range(metric: str) -> tuple[float, float]:
    """The values that a metric can have."""
    return _RANGES.get(metric, (0.0, 1.0))


class PatchScores(NamedTuple):
    """Patches accurate and certain, or inaccurate and uncertain (Mukhoti and Gal 2018). Shares in [0, 1].

    Attributes:
        pavpu: share of the patches that are one or the other.
        accurate_if_certain: share of the certain ones that are accurate.
        uncertain_if_inaccurate: share of the inaccurate ones that are uncertain; 1 where none is.
    """

    pavpu: float | Float64[np.ndarray, "*sets"]
    accurate_if_certain: float | Float64[np.ndarray, "*sets"]
    uncertain_if_inaccurate: float | Float64[np.ndarray, "*sets"]


def probability_measures(scores: PixelScores) -> Values:
    """What the probabilities are worth, whatever the threshold."""
    wide, mass = equal_width(scores.by_probability), equal_mass(scores.by_probability)
    likely = equal_mass(above(scores.by_probability, _LIKELY))
    return {
        "negative_log_likelihood": scores.proper.likelihood,
        "brier": scores.proper.brier,
        "brier_skill": scores.proper.brier_skill,
        "ece": wide.expected_error,
        "mce": wide.maximum_error,
        "ece_equal_mass": mass.expected_error,
        "mce_equal_mass": mass.maximum_error,
        "ece_above_0.1": likely.expected_error,
        "sharpness": sharpness(scores.by_probability),
    }


def uncertainty_measures(scores: PixelScores, name: str) -> Values:
    """How well an uncertainty puts pixels in order by whether they are wrong."""
    ranked = scores.ranked[name]
    wrong, squared = ranked.sums[..., 0, :], ranked.sums[..., 1, :]
    errors = scores.by_error
    patches = patch_scores(scores.patches[name], CERTAIN)
    return {
        **risk_coverage(ranked.counts, wrong)._asdict(),
        "ause": sparsification_error((ranked.counts, squared), (errors.counts, errors.sums[..., 0, :])),
        **patches._asdict(),
    }


def patch_scores(patches: Histogram, certain: float) -> PatchScores:
    """With so large a share of the patches called certain, those of the lowest uncertainty; bins are not torn apart."""
    counts, inaccurate = patches.counts, patches.sums[..., 0, :]
    end, wrong = (np.insert(values.cumsum(axis=-1), 0, 0, axis=-1) for values in (counts, inaccurate))
    total, all_wrong = end[..., -1], wrong[..., -1]
    last = (end <= certain * total[..., None] + 1e-9).sum(axis=-1)[..., None] - 1
    held, missed = (np.take_along_axis(values, last, -1)[..., 0] for values in (end, wrong))
    caught = all_wrong - missed
    return PatchScores(
        (held - missed + caught) / total,
        (held - missed) / np.maximum(held, 1),
        np.where(all_wrong > 0, caught / np.maximum(all_wrong, 1), 1.0),
    )
