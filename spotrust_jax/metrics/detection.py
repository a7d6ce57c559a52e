"""Metrics of detection: how well an uncertainty separates what is out of distribution from what is not.

`evaluate` has each of them by image and by pixel, under `image_NAME` and `pixel_NAME`.
"""

from spotrust_jax.metrics.metric import Group, Metric, PerSet
from spotrust_jax.metrics.ranking import Detection


class Auroc(Metric):
    """Probability that what is out of distribution has the higher score; 0.5 is random."""

    name, label = "auroc", "AUROC"

    @staticmethod
    def compute(sums: Detection) -> PerSet:
        return sums.auroc


class Aupr(Metric):
    """Average precision; the share of what is out of distribution is random."""

    name, label = "aupr", "AUPR"

    @staticmethod
    def compute(sums: Detection) -> PerSet:
        return sums.aupr


class FalsePositiveRateAt95(Metric):
    """Share of the rest above the threshold that 95% of what is out of distribution reaches; lower is better."""

    name, label = "fpr95", "FPR95"

    @staticmethod
    def compute(sums: Detection) -> PerSet:
        return sums.fpr95


DETECTION = Group("Out of distribution", (Auroc, Aupr, FalsePositiveRateAt95))
