"""Platt scaling, which calibrates a network's probabilities; calibration/fitting.py has how it is fitted."""

import dataclasses

from spotrust_jax.errors import InputError
from spotrust_jax.fields import is_finite, shown

SMALLEST_PROBABILITY = 2.0**-24
"""Probabilities are kept this far from 0 and 1, as float32 does: wrong ones would else cost infinitely much."""


@dataclasses.dataclass(frozen=True)
class PlattScaling:
    """Platt scaling of the mean probability p: sigmoid(slope * logit(p) + intercept). Platt 1999.

    A slope alone is the inverse of a temperature (Guo et al. 2017).

    Attributes:
        slope: above 0, so that the order of pixels stays.
        intercept: a positive weight of w in training shifts logits by log w, which about minus log w takes back.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (self.slope > 0 and is_finite(self.slope)):
            raise InputError(f"the slope of a calibration is {shown(self.slope)}: give a positive number")
        if not is_finite(self.intercept):
            raise InputError(f"the intercept of a calibration is {shown(self.intercept)}: give a finite number")

    def __call__(self, probability):
        """Calibrated probabilities [...], arrays of numpy or of jax, of the type that goes in."""
        if self == PlattScaling():
            return probability
        numpy = probability.__array_namespace__()
        p = numpy.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return 1 / (1 + numpy.exp(-self.intercept - self.slope * (numpy.log(p) - numpy.log1p(-p))))

    @property
    def inverse(self) -> "PlattScaling":
        """The one that takes this one back, but for what lies beyond `SMALLEST_PROBABILITY`."""
        return PlattScaling(1 / self.slope, -self.intercept / self.slope)
