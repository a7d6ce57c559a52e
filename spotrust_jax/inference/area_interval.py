"""How certain the corroded area is: its share in samples whose noise is one draw for the whole photograph.

sampling/ draws the samples and measures the areas in them.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.variants.registry import variant_of

LEVEL = 0.95
"""Probability of the interval; half of the rest lies on either side of it."""


class AreaInterval(NamedTuple):
    """Corroded shares of a photograph, 0 to 1, between which the middle 95% of the draws lie."""

    low: float
    high: float
    draws: int


def coherent(segmenter: Segmenter) -> Segmenter:
    """The same network with draws that hold all over a photograph, where it has such draws."""
    model = variant_of(segmenter.config.model).coherent
    if model in (None, segmenter.config.model):
        return segmenter
    return segmenter.with_config(dataclasses.replace(segmenter.config, model=model))


def why_no_draws(config: CheckpointConfig) -> str | None:
    """Why the network cannot say how sure the area is, or None where it can."""
    variant = variant_of(config.model)
    if variant.coherent is None:
        return f"{variant.title} is independent from cell to cell, so its noise averages out over an area"
    if not variant.stochastic and config.members == 1:
        return "a single deterministic network has no second opinion"
    return None


def has_coherent_samples(config: CheckpointConfig) -> bool:
    """Whether the samples that make the maps are such draws already."""
    return variant_of(config.model).noise != "cell" and why_no_draws(config) is None


def has_draws(config: CheckpointConfig) -> bool:
    """Whether there can be more draws than the samples that make the maps."""
    return variant_of(config.model).stochastic and why_no_draws(config) is None


def area_interval(areas: Float32[np.ndarray, "draws"] | None) -> AreaInterval | None:
    """The credible interval of the corroded share from those of the draws, if there are any."""
    if areas is None:
        return None
    low, high = np.quantile(areas.astype(np.float64), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return AreaInterval(low, high, areas.size)
