"""What the pixels of a photograph give to all metrics: sums and histograms, which add up over photographs.

The metrics in probabilities.py and ranking_errors.py are made of them.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Num, Shaped

from spotrust_jax.calibration.histogram import Histogram, score_histogram, stacked
from spotrust_jax.inference.maps import Given
from spotrust_jax.inference.prediction import MAPS, Prediction
from spotrust_jax.metrics.corp import Corp, band_histograms, corp
from spotrust_jax.metrics.failures import photograph_failure, region_failures
from spotrust_jax.metrics.masks import confusion, count_array
from spotrust_jax.metrics.reliability import (
    ProperScores,
    Reliability,
    coarser_probabilities,
    equal_mass,
    equal_width,
    probability_histogram,
    proper_scores,
)

UNCERTAINTIES = (
    "expected_error",
    *(name for name, described in MAPS.items() if described.ranks_errors and described.given is Given.DECOMPOSED),
    *(name for name, described in MAPS.items() if described.ranks_errors and described.given is Given.ALWAYS),
)
"""Scores by which a pixel is classified as uncertain: the mask's own expected error, and maps.

The expected error is 1 - p where the mask marks corrosion and p where it does not, p calibrated. Maps on request come
first.
"""

PATCH = 4
"""Side in pixels of the patches of PAvPU by default."""

COARSER_BITS = 6
"""Bits that the histograms of single photographs, all of which a bootstrap needs, go without."""


@dataclasses.dataclass(frozen=True)
class PixelScores:
    """Of the pixels of one set of images, or of each of several.

    Attributes:
        confusion: counts in the order of the fields of `Confusion`.
        proper: the proper scores.
        by_probability: `probability_histogram`.
        by_error: by the squared error, which is also the quantity.
        ranked: by each uncertainty, quantities wrong pixels and squared errors.
        patches: patches by each mean uncertainty, the quantity being inaccurate ones.
        bands: pixels of each of `BANDS` by their probability.
        photographs, regions: by each mean uncertainty, the quantity being failures.
    """

    confusion: Num[np.ndarray, "*sets 4"]
    proper: ProperScores
    by_probability: Histogram
    by_error: Histogram
    ranked: Mapping[str, Histogram]
    patches: Mapping[str, Histogram]
    bands: Mapping[str, Histogram]
    photographs: Mapping[str, Histogram]
    regions: Mapping[str, Histogram]

    def __add__(self, other: "PixelScores") -> "PixelScores":
        return PixelScores(
            self.confusion + other.confusion,
            ProperScores(*(a + b for a, b in zip(self.proper, other.proper, strict=True))),
            self.by_probability + other.by_probability,
            self.by_error + other.by_error,
            *(
                {name: one + getattr(other, field)[name] for name, one in getattr(self, field).items()}
                for field in _BY_NAME
            ),
        )

    @functools.cached_property
    def by_width(self) -> Reliability:
        """Bins of one width."""
        return equal_width(self.by_probability)

    @functools.cached_property
    def by_mass(self) -> Reliability:
        """Bins of as many pixels each."""
        return equal_mass(self.by_probability)

    @functools.cached_property
    def corp(self) -> dict[str, Corp]:
        """Parts of the Brier score, of all pixels and of each of `BANDS`."""
        return {name: corp(one) for name, one in {"all": self.by_probability, **self.bands}.items()}

    @property
    def coarser(self) -> "PixelScores":
        """The same in a fraction of the memory."""
        coarser = self._map(lambda one: one.coarser(COARSER_BITS))
        return dataclasses.replace(
            coarser,
            by_probability=coarser_probabilities(self.by_probability, COARSER_BITS),
            bands={name: coarser_probabilities(one, COARSER_BITS) for name, one in self.bands.items()},
            # Few, and close to each other.
            photographs=self.photographs,
            regions=self.regions,
        )

    def resampled(self, weights: Float64[np.ndarray, "resamples sets"]) -> "PixelScores":
        """Of as many sets as `weights` has rows, each of which takes every old set so many times."""
        resampled = self._map(lambda one: one.resampled(weights))
        proper = ProperScores(*(weights @ column for column in self.proper))
        return dataclasses.replace(resampled, confusion=weights @ self.confusion, proper=proper)

    def _map(self, function: Callable[[Histogram], Histogram]) -> "PixelScores":
        return dataclasses.replace(
            self,
            by_probability=function(self.by_probability),
            by_error=function(self.by_error),
            **{field: {name: function(one) for name, one in getattr(self, field).items()} for field in _BY_NAME},
        )


# Fields that are histograms by name.
_BY_NAME = ("ranked", "patches", "bands", "photographs", "regions")


def pixel_scores(
    prediction: Prediction,
    mask: Bool[np.ndarray, "height width"],
    truth: Bool[np.ndarray, "height width"],
    scored: Bool[np.ndarray, "height width"],
    *,
    patch: int = PATCH,
) -> PixelScores:
    """Of the scored pixels of one photograph, whose prediction is decomposed; `mask` is what is called corrosion."""
    wrong, maps = mask != truth, uncertainty_maps(prediction, mask)
    probability, labels = prediction.probability[scored], truth[scored]
    squared = np.square(probability.astype(np.float64) - labels)
    return PixelScores(
        count_array([confusion(mask[scored], labels)])[0],
        proper_scores(probability, labels),
        probability_histogram(probability, labels),
        score_histogram(squared, squared),
        {name: score_histogram(values[scored], wrong[scored], squared) for name, values in maps.items()},
        {name: patch_histogram(values, wrong, scored, patch) for name, values in maps.items()},
        band_histograms(prediction.probability, mask, truth, scored),
        photograph_failure(maps, mask, truth, scored),
        region_failures(maps, mask, truth, scored),
    )


def uncertainty_maps(
    prediction: Prediction, mask: Bool[np.ndarray, "height width"]
) -> dict[str, Float32[np.ndarray, "height width"]]:
    """The maps of `UNCERTAINTIES`."""
    error = np.where(mask, 1 - prediction.probability, prediction.probability)
    return {"expected_error": error, **{name: getattr(prediction, name) for name in UNCERTAINTIES[1:]}}


def patch_histogram(
    uncertainty: Float[np.ndarray, "height width"],
    wrong: Bool[np.ndarray, "height width"],
    scored: Bool[np.ndarray, "height width"],
    side: int,
) -> Histogram:
    """Square patches by the mean uncertainty of their scored pixels; inaccurate where more than half are wrong."""
    pixels, doubts, errors = (_patch_sums(values, side) for values in (scored, uncertainty * scored, wrong & scored))
    there = pixels > 0
    pixels = pixels[there]
    return score_histogram(doubts[there] / pixels, errors[there] > pixels / 2)


def stacked_scores(scores: Sequence[PixelScores]) -> PixelScores:
    """Of one set for each."""
    return PixelScores(
        np.stack([one.confusion for one in scores]),
        ProperScores(*np.array([one.proper for one in scores], np.float64).T),
        stacked([one.by_probability for one in scores]),
        stacked([one.by_error for one in scores]),
        *(
            {name: stacked([getattr(one, field)[name] for one in scores]) for name in getattr(scores[0], field)}
            for field in _BY_NAME
        ),
    )


def _patch_sums(values: Shaped[np.ndarray, "height width"], side: int) -> Float64[np.ndarray, "patches"]:
    height, width = values.shape
    rows = np.add.reduceat(values.astype(np.float64), np.arange(0, height, side), axis=0)
    return np.add.reduceat(rows, np.arange(0, width, side), axis=1).ravel()
