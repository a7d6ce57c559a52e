"""The mean of a sigmoid under normal noise, for any mean and any standard deviation, without sampling.

Where the logit x is negative, sigmoid(x) is within 1e-7 of a sum of exponentials exp(k x), whose means under a normal
distribution are known; where it is positive, 1 - sigmoid(x) is the same of -x. Both in logarithms, so that nothing
underflows.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float
from numpy.polynomial import Chebyshev, Polynomial

# Exponentials in the sum.
_TERMS = 9

# 1 / (1 + t) on [0, 1] as a polynomial, so that sigmoid(x) is the sum of _EXPONENTIALS[k - 1] exp(k x), k from 1 on.
_EXPONENTIALS = Chebyshev.interpolate(lambda t: 1 / (1 + t), _TERMS - 1, [0, 1]).convert(kind=Polynomial).coef


def _scaled_erfcx(t: np.ndarray) -> np.ndarray:
    """Logarithm of erfcx(y) / t, where t = 2 / (2 + y), which has a limit at t = 0."""
    return np.log(scipy.special.erfcx(2 / t - 2) / t)


_ERFCX = Chebyshev.interpolate(_scaled_erfcx, 12, [0, 1]).convert(kind=Polynomial).coef


def log_mean_sigmoids(
    mean: Float[Array, "*shape"], std: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Logarithms of the mean of sigmoid(x) and of sigmoid(-x), x normal.

    Args:
        mean: of x.
        std: standard deviation of x, above 0.

    Both means are within 1e-5 of themselves as long as logarithms of them are above -100
    (tests/models/test_logistic_normal.py, against scipy's integrals for standard deviations from 0.0067 to 148).
    """
    negative, below = _negative_part(mean, std)
    positive, above = _negative_part(-mean, std)
    return (
        jnp.logaddexp(negative + below, positive + jnp.log1p(-jnp.exp(above))),
        jnp.logaddexp(positive + above, negative + jnp.log1p(-jnp.exp(below))),
    )


def _negative_part(
    mean: Float[Array, "*shape"], std: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Logarithms of the probability that x is negative, and of the mean of sigmoid(x) where it is.

    The mean of exp(k x) over negative x is exp(-mean^2 / (2 std^2)) erfcx(y_k) / 2, y_k = (mean + k std^2) / (std
    sqrt 2). Only ratios of these to the one of k = 0 are computed.
    """
    start = mean / (math.sqrt(2) * std)
    first = _erfcx_rest(start)
    probability = first - math.log(2) - jnp.square(jnp.maximum(start, 0))
    # erfcx(y) has a factor exp(y^2) where y is negative; logarithms of its ratios without a difference of squares.
    size = jnp.maximum(-start, 0)

    def log_ratio(k: int) -> Float[Array, "*shape"]:
        step = k / math.sqrt(2) * std
        change = jnp.minimum(step, size)
        return _erfcx_rest(start + step) - first - change * (2 * size - change)

    ratios = [log_ratio(k) for k in range(1, _TERMS + 1)]
    total = sum(float(weight) * jnp.exp(one - ratios[0]) for weight, one in zip(_EXPONENTIALS, ratios, strict=True))
    return probability, ratios[0] + jnp.log(total)


def _erfcx_rest(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logarithm of erfcx(y) where y is positive, of erfc(y) where it is negative."""
    size = jnp.abs(y)
    t = 2 / (2 + size)
    scaled = jnp.log(t) + functools.reduce(lambda value, weight: value * t + weight, _ERFCX[::-1].tolist())
    return jnp.where(y >= 0, scaled, math.log(2) + jnp.log1p(-0.5 * jnp.exp(scaled - jnp.square(size))))
