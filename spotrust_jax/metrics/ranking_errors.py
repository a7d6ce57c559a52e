"""Metrics of uncertainties: how well an order of pixels by uncertainty puts errors last."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from spotrust_jax.calibration.histogram import Histogram
from spotrust_jax.metrics.failures import failure_auroc
from spotrust_jax.metrics.metric import Group, Metric, PerSet
from spotrust_jax.metrics.pixel_scores import PixelScores
from spotrust_jax.metrics.ranking import (
    RiskCoverage,
    area_under_generalized_risk,
    risk_coverage,
    sparsification_error,
)

CERTAIN = 0.8
"""Share of the patches that PAvPU of the tables classifies as certain."""


class PatchScores(NamedTuple):
    """Patches accurate and certain, or inaccurate and uncertain (Mukhoti and Gal 2018). Shares in [0, 1].

    Attributes:
        pavpu: share of the patches that are one or the other.
        accurate_if_certain: share of the certain ones that are accurate.
        uncertain_if_inaccurate: share of the inaccurate ones that are uncertain; 1 where none is.
    """

    pavpu: PerSet
    accurate_if_certain: PerSet
    uncertain_if_inaccurate: PerSet


def patch_scores(patches: Histogram, certain: float) -> PatchScores:
    """With so large a share of the patches called certain, those of the lowest uncertainty; bins are not split."""
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


@dataclasses.dataclass(frozen=True)
class Ranked:
    """Pixels in the order of an uncertainty.

    Attributes:
        pixels: by the uncertainty; quantities wrong ones and squared errors.
        patches: the same of patches; the quantity is inaccurate ones.
        errors: pixels by their squared error, which is also the quantity.
        photographs, regions: by their mean uncertainty; the quantity is failures.
    """

    pixels: Histogram
    patches: Histogram
    errors: Histogram
    photographs: Histogram
    regions: Histogram

    @functools.cached_property
    def risk(self) -> RiskCoverage:
        """Error rates when only the most certain pixels are judged."""
        return risk_coverage(self.pixels.counts, self.pixels.sums[..., 0, :])

    @functools.cached_property
    def patch_scores(self) -> PatchScores:
        """With the share `CERTAIN` of the patches classified as certain."""
        return patch_scores(self.patches, CERTAIN)


def ranked(scores: PixelScores, uncertainty: str) -> Ranked:
    """The pixels in the order of one of `UNCERTAINTIES`."""
    return Ranked(
        scores.ranked[uncertainty],
        scores.patches[uncertainty],
        scores.by_error,
        scores.photographs[uncertainty],
        scores.regions[uncertainty],
    )


class Aurc(Metric):
    """Mean error rate over all coverages, the most certain pixels first; lower is better."""

    name, label = "aurc", "AURC"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.risk.aurc


class Augrc(Metric):
    """Mean over all coverages of the share of all pixels that is judged and wrong; lower is better."""

    name, label = "augrc", "AUGRC"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return area_under_generalized_risk(sums.pixels.counts, sums.pixels.sums[..., 0, :])


class ExcessAurc(Metric):
    """How much that is above the best possible order of the same errors."""

    name, label = "excess_aurc", "Excess AURC"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.risk.excess_aurc


class RiskAtCoverage(Metric):
    """Error rate of the 80% most certain pixels."""

    name, label = "risk_at_coverage", "Risk at 80%"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.risk.risk_at_coverage


class CoverageAtRisk(Metric):
    """Largest share of the pixels, the most certain first, with an error rate of at most 5%."""

    name, label = "coverage_at_risk", "Coverage at 5%"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.risk.coverage_at_risk


class Ause(Metric):
    """Area between the squared error left when uncertain pixels go and when wrong ones do, relative to the mean."""

    name, label, range = "ause", "AUSE", (0.0, np.inf)

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        by_error = sums.errors.counts, sums.errors.sums[..., 0, :]
        return sparsification_error((sums.pixels.counts, sums.pixels.sums[..., 1, :]), by_error)


class Pavpu(Metric):
    """Share of patches that are accurate and certain, or inaccurate and uncertain; 80% are classified as certain."""

    name, label = "pavpu", "PAvPU"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.patch_scores.pavpu


class AccurateIfCertain(Metric):
    """Share of the certain patches that are accurate."""

    name, label = "accurate_if_certain", "Accurate if certain"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.patch_scores.accurate_if_certain


class UncertainIfInaccurate(Metric):
    """Share of the inaccurate patches that are uncertain; 1 where none is inaccurate."""

    name, label = "uncertain_if_inaccurate", "Uncertain if inaccurate"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return sums.patch_scores.uncertain_if_inaccurate


class PhotographFailureAuroc(Metric):
    """AUROC of the mean uncertainty for photographs with IoU below 0.5 and over 1% wrong; 0.5 where none or all are."""

    name, label = "photograph_failure_auroc", "AUROC, failed photographs"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return failure_auroc(sums.photographs)


class RegionFailureAuroc(Metric):
    """AUROC of the mean uncertainty for regions of the mask (16 pixels or more) that are less than half corrosion."""

    name, label = "region_failure_auroc", "AUROC, false regions"

    @staticmethod
    def compute(sums: Ranked) -> PerSet:
        return failure_auroc(sums.regions)


RANKING_ERRORS = Group(
    "Errors, put in order by uncertainty",
    (
        Aurc,
        Augrc,
        ExcessAurc,
        RiskAtCoverage,
        CoverageAtRisk,
        Ause,
        Pavpu,
        AccurateIfCertain,
        UncertainIfInaccurate,
        PhotographFailureAuroc,
        RegionFailureAuroc,
    ),
)
