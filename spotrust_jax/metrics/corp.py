"""The Brier score in three parts: miscalibration, discrimination, and how uncertain the labels are.

By isotonic regression of labels on probabilities (CORP; Dimitriadis, Gneiting and Jordan 2021), so without bins whose
number one would have to choose. It takes the order of the pixels alone, so calibration that keeps the order leaves
discrimination as it is, and all that it changes is miscalibration, of the same pixels.
"""

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.optimize
from jaxtyping import Bool, Float, Float64, Num

from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.metrics.metric import Group, Metric, PerSet
from spotrust_jax.metrics.reliability import probability_histogram

BANDS = ("interior", "boundary", "corrosion", "background")
"""Parts of a photograph by its mask: away from the mask's outline and along it; what the mask marks and what not."""

# Half the width of the band along the outline, relative to the diagonal of the photograph.
_HALF_WIDTH = 0.01


class Corp(NamedTuple):
    """Brier score = miscalibration - discrimination + uncertainty, of one set of pixels or of each of several.

    Attributes:
        miscalibration: by how much isotonic regression would lower the Brier score; 0 is calibrated.
        discrimination: by how much its result is better than the base rate everywhere; 0 is no information.
        uncertainty: Brier score of the base rate everywhere.
    """

    miscalibration: PerSet
    discrimination: PerSet
    uncertainty: PerSet


def corp(by_probability: Histogram) -> Corp:
    """From a `probability_histogram`, whose bins each count with their mean probability; zeros for no pixels."""
    counts, (sums, corroded) = by_probability.counts, np.moveaxis(by_probability.sums, -2, 0)
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)

    def brier(probability):
        return ((counts * probability**2 - 2 * probability * corroded + corroded) / total).sum(axis=-1)

    best, uncertainty = brier(_regressed(counts, corroded)), brier(corroded.sum(axis=-1, keepdims=True) / total)
    # Rounding may leave less than nothing.
    parts = (brier(sums / np.maximum(counts, 1)) - best, uncertainty - best, uncertainty)
    return Corp(*(np.maximum(part, 0.0) for part in parts))


def _regressed(
    counts: Num[np.ndarray, "*sets bins"], corroded: Num[np.ndarray, "*sets bins"]
) -> Float64[np.ndarray, "*sets bins"]:
    """Isotonic regression of the corroded share of each bin, set by set; 0 where there are no pixels."""
    found = np.zeros(counts.shape)
    for place in np.ndindex(counts.shape[:-1]):
        there = counts[place] > 0
        if there.any():
            weights = counts[place][there].astype(np.float64)
            found[place][there] = scipy.optimize.isotonic_regression(
                corroded[place][there] / weights, weights=weights
            ).x
    return found


def band_histograms(
    probability: Float[np.ndarray, "height width"],
    mask: Bool[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "height width"],
    scored: Bool[np.ndarray, "height width"],
) -> dict[str, Histogram]:
    """Scored pixels of each of `BANDS` by their probability.

    Bands go by the mask, not by the labels: probabilities that are calibrated are so in every part that the model
    itself tells apart, and in no part that is chosen by the labels.
    """
    outline = along_outline(mask, scored)
    parts = dict(zip(BANDS, (~outline, outline, mask, ~mask), strict=True))
    return {
        name: probability_histogram(probability[part & scored], truth[part & scored]) for name, part in parts.items()
    }


def along_outline(
    mask: Bool[np.ndarray, "height width"], scored: Bool[np.ndarray, "height width"]
) -> Bool[np.ndarray, "height width"]:
    """Pixels with scored pixels of both kinds within a hundredth of the diagonal, along rows and columns."""
    side = 2 * max(1, round(_HALF_WIDTH * float(np.hypot(*mask.shape)))) + 1
    marked, unmarked = (np.asarray(scipy.ndimage.maximum_filter(part & scored, side), bool) for part in (mask, ~mask))
    return marked & unmarked


class Miscalibration(Metric):
    """Part of the Brier score that isotonic regression on the same pixels would remove; 0 is calibrated."""

    name, label = "miscalibration", "MCB"

    @staticmethod
    def compute(parts: Corp) -> PerSet:
        return parts.miscalibration


class Discrimination(Metric):
    """By how much the Brier score is then below that of the base rate; calibration leaves it as it is."""

    name, label = "discrimination", "DSC"

    @staticmethod
    def compute(parts: Corp) -> PerSet:
        return parts.discrimination


class LabelUncertainty(Metric):
    """Brier score of the base rate everywhere; Brier score = MCB - DSC + UNC."""

    name, label = "label_uncertainty", "UNC"

    @staticmethod
    def compute(parts: Corp) -> PerSet:
        return parts.uncertainty


RELIABILITY = Group("Reliability", (Miscalibration, Discrimination, LabelUncertainty))
