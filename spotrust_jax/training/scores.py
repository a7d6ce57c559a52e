"""Validation scores from counts of pixels by their probability: those that need no threshold, and the others.

The counts are made on the devices (`step.py`), batch by batch; this is about bins and about what they add up to.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Num

BINS = 4096
"""Of equal width in the logit of the probability, 0.007: 0.2% of the probability at one half, less elsewhere."""

_LARGEST = 14.0  # logit; probabilities within 1e-6 of 0 or 1 share a bin


def probability_bins(logits: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """The bin of each probability by its logit; probabilities from one half up are in the upper half of the bins."""
    position = jnp.floor(logits * (BINS / 2 / _LARGEST)).astype(jnp.int32) + BINS // 2
    return jnp.clip(position, 0, BINS - 1)


def average_precision(
    corroded: Num[np.ndarray, "*members bins"], sound: Num[np.ndarray, "*members bins"]
) -> Float64[np.ndarray, "*members"]:
    """Mean precision over all corroded pixels, each at its own probability as threshold; pixels of a bin tie.

    0 where nothing is corroded. The share of corroded pixels is what guessing reaches.
    """
    found, called = _from_above(corroded, sound)
    return (corroded[..., ::-1] * found / np.maximum(called, 1)).sum(-1) / np.maximum(found[..., -1], 1)


def f1_best_threshold(
    corroded: Num[np.ndarray, "*members bins"], sound: Num[np.ndarray, "*members bins"]
) -> Float64[np.ndarray, "*members"]:
    """The best F1 over all thresholds."""
    found, called = _from_above(corroded, sound)
    return (2 * found / np.maximum(called + found[..., -1:], 1)).max(-1)


def _from_above(
    corroded: Num[np.ndarray, "*members bins"], sound: Num[np.ndarray, "*members bins"]
) -> tuple[Float64[np.ndarray, "*members bins"], Float64[np.ndarray, "*members bins"]]:
    """Corroded pixels and all pixels from each bin up, the highest bin first."""
    found = np.cumsum(corroded[..., ::-1], -1, dtype=np.float64)
    return found, found + np.cumsum(sound[..., ::-1], -1, dtype=np.float64)
