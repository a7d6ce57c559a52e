"""What makes frequencies of a network's probabilities; calibration/fitting.py has how it is fitted."""

import dataclasses

from spotrust_jax.errors import InputError
from spotrust_jax.ranges import is_finite, shown

SUREST = 2.0**-24
"""Probabilities are kept this far from 0 and 1, as float32 does: wrong ones would else cost infinitely much."""


@dataclasses.dataclass(frozen=True)
class AffineCalibration:
    """sigmoid(slope * logit(p) + shift) for the mean probability p (Platt 1999; temperature alone: Guo et al. 2017).

    Attributes:
        slope: above 0, so that the order of pixels stays.
        shift: a positive weight of w in training shifts logits by log w, which about minus log w takes back.
    """

    slope: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (self.slope > 0 and is_finite(self.slope)):
            raise InputError(f"the slope of a calibration is {shown(self.slope)}: give a positive number")
        if not is_finite(self.shift):
            raise InputError(f"the shift of a calibration is {shown(self.shift)}: give a finite number")

    def __call__(self, probability):
        """Calibrated probabilities [...], arrays of numpy or of jax, of the type that goes in."""
        if self == AffineCalibration():
            return probability
        numpy = probability.__array_namespace__()
        p = numpy.clip(probability, SUREST, 1 - SUREST)
        return 1 / (1 + numpy.exp(-self.shift - self.slope * (numpy.log(p) - numpy.log1p(-p))))

    @property
    def inverse(self) -> "AffineCalibration":
        """The one that takes this one back, but for what lies beyond `SUREST`."""
        return AffineCalibration(1 / self.slope, -self.shift / self.slope)
