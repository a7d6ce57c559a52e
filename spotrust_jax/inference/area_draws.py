"""How sure the corroded area is: the area in each of many draws of the network that hold all over the photograph.

The maps are sampling.py's business; here a pass leaves nothing but its corroded share.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Key, UInt8

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.photographs import fit_image
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.inference.tiling import Tile, Tiling, crop, plan_tiles
from spotrust_jax.models.folding import folded_network
from spotrust_jax.models.segmenter import ModelConfig, Variables, normalize
from spotrust_jax.random_streams import content_keys, fold_each
from spotrust_jax.sampling import pass_keys

LEVEL = 0.95
"""Probability of the interval; half of the rest lies on either side of it."""


class AreaInterval(NamedTuple):
    """Corroded shares of a photograph, 0 to 1, between which the middle 95% of the draws lie."""

    low: float
    high: float
    draws: int


def coherent_model(model: ModelConfig) -> ModelConfig:
    """The same network with draws that hold all over a photograph, where it has such draws."""
    return dataclasses.replace(model, estimator="kernel") if model.variant == "variational" else model


def why_no_interval(config: CheckpointConfig) -> str | None:
    """Why the network cannot say how sure the area is, or None where it can."""
    if config.model.variant == "dropout" and config.model.dropout_mask == "element":
        return "elementwise dropout is independent from cell to cell, so its noise averages out over an area"
    if not config.model.stochastic and config.members == 1:
        return "a single deterministic network has no second opinion"
    return None


def area_interval(
    segmenter: Segmenter,
    image: UInt8[np.ndarray, "height width 3"],
    analysis: Analysis,
    threshold: float,
    draws: int,
) -> AreaInterval:
    """The credible interval of the corroded share of a photograph's pixels.

    Args:
        segmenter: one for which `why_no_interval` has no reason.
        image: may be a memory map.
        analysis: scale, seed and tiles; views and passes of the maps are not used.
        threshold: probability, calibrated where the model is, from which a pixel counts as corrosion in a draw.
        draws: of each stochastic member; a deterministic member is one draw.
    """
    areas = area_draws(segmenter, image, analysis, threshold, draws)
    low, high = np.quantile(areas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return AreaInterval(low, high, areas.size)


def area_draws(
    segmenter: Segmenter,
    image: UInt8[np.ndarray, "height width 3"],
    analysis: Analysis,
    threshold: float,
    draws: int,
) -> Float64[np.ndarray, "draws"]:
    """The corroded share of the photograph in each draw, member after member.

    All tiles of a photograph share the draws. Where tiles overlap, each counts by its weight in the blended maps.
    """
    sized = fit_image(image, analysis.shape(*image.shape[:2]))
    key = content_keys(analysis.key, sized[None])[0]
    tiling = plan_tiles(*sized.shape[:2], analysis.tile_size, analysis.overlap)
    raw = float(segmenter.config.calibration.inverse(np.float64(threshold)))
    count = draws if segmenter.config.model.stochastic else 1
    # A draw is a whole pass of one member on one device; ensembles lie spread over several.
    alone = dataclasses.replace(segmenter, devices=segmenter.devices[:1])
    shares = np.zeros((segmenter.config.members, count))
    for tile in tiling.tiles():
        part, weights = crop(sized, tiling.window(tile)), _weights(tiling, tile)
        areas = _areas(alone.config)(alone.folded, part, key, weights, np.float32(raw), count, np.int32(tile.number))
        shares += np.asarray(areas)
    return shares.ravel() / (sized.shape[0] * sized.shape[1])


def _weights(tiling: Tiling, tile: Tile) -> np.ndarray:
    """What the pixels of a tile count; those of all tiles add up to one at each pixel."""
    return tiling.rows.weights[tile.row][:, None] * tiling.columns.weights[tile.column][None]


@functools.lru_cache(maxsize=32)
def _areas(config: CheckpointConfig) -> Any:
    """The jitted function of folded variables, a part, key, weights, raw threshold, draws and tile number."""
    network = folded_network(coherent_model(config.model))

    def areas(
        variables: Variables,
        part: UInt8[Array, "height width 3"],
        photograph: Key[Array, ""],
        weights: Float[Array, "height width"],
        threshold: Float[Array, ""],
        count: int,
        tile: Int[Array, ""],
    ) -> Float[Array, "members draws"]:
        images = normalize(part[None] / 255.0, config.mean, config.deviation)

        def of_member(inputs: tuple[Int[Array, ""], Variables]) -> Float[Array, "draws"]:
            member, own = inputs
            keys = fold_each(photograph[None], member)
            features = network.apply(own, images, method="features")

            def of_draw(sample: Int[Array, ""]) -> Float[Array, ""]:
                logits = network.apply(own, features, pass_keys(keys, sample, tile), method="decode")
                return jnp.sum(weights * (jax.nn.sigmoid(logits[0]) >= threshold))

            return jax.lax.map(of_draw, jnp.arange(count))

        return jax.lax.map(of_member, (jnp.arange(config.members), variables))

    return jax.jit(areas, static_argnums=5)
