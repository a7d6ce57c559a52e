"""Metrics of probabilities, whatever the threshold: how sharp they are, and how well calibrated."""

import numpy as np

from spotrust_jax.metrics.metric import Group, Metric, PerSet
from spotrust_jax.metrics.pixel_scores import PixelScores
from spotrust_jax.metrics.reliability import sharpness


class NegativeLogLikelihood(Metric):
    """Mean negative log likelihood of a pixel in nats, of probabilities clipped at 1 - 2^-24; lower is better."""

    name, label, range = "negative_log_likelihood", "NLL", (0.0, np.inf)

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.proper.likelihood


class Brier(Metric):
    """Mean squared error of the probability; lower is better."""

    name, label = "brier", "Brier score"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.proper.brier


class BrierSkill(Metric):
    """1 - Brier / (Brier score of the base rate everywhere); 0 is no skill."""

    name, label, range = "brier_skill", "Brier skill", (-np.inf, 1.0)

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.proper.brier_skill


class ExpectedCalibrationError(Metric):
    """Mean distance of the corroded share of a bin from its mean probability, over 15 bins of equal width."""

    name, label = "ece", "ECE"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.by_width.expected_error


class MaximumCalibrationError(Metric):
    """The same of the worst bin."""

    name, label = "mce", "MCE"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.by_width.maximum_error


class EqualMassExpectedCalibrationError(Metric):
    """Expected calibration error over 15 bins of equal numbers of pixels."""

    name, label = "ece_equal_mass", "ECE, equal mass"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.by_mass.expected_error


class EqualMassMaximumCalibrationError(Metric):
    """Maximum calibration error over these."""

    name, label = "mce_equal_mass", "MCE, equal mass"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return scores.by_mass.maximum_error


class Sharpness(Metric):
    """Variance of the probabilities over pixels: a constant map can be calibrated and says nothing."""

    name, label = "sharpness", "Sharpness"

    @staticmethod
    def compute(scores: PixelScores) -> PerSet:
        return sharpness(scores.by_probability)


PROBABILITIES = Group(
    "Probabilities",
    (
        NegativeLogLikelihood,
        Brier,
        BrierSkill,
        ExpectedCalibrationError,
        MaximumCalibrationError,
        EqualMassExpectedCalibrationError,
        EqualMassMaximumCalibrationError,
        Sharpness,
    ),
)
