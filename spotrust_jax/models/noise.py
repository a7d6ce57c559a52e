"""Keys of the noise in one sample, by what shares a draw, and the noise that several variants draw from them."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Key

from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.random import normal, stream


class NoiseKeys(NamedTuple):
    """Keys of one sample, by what shares a draw.

    Attributes:
        weights: drawn kernels, shared by everything that goes through the network in this call.
        masks: draws that hold all over an image, such as channel masks; one key for each image.
        cells: noise that is independent from cell to cell; one key for each image.
    """

    weights: Key[Array, ""]
    masks: Key[Array, "batch"]
    cells: Key[Array, "batch"]


def noise_keys(key: Key[Array, ""], image_keys: Key[Array, "batch"]) -> NoiseKeys:
    """Keys of one sample: `key` for what the whole call shares, one more for each image."""
    masks, cells = stream(image_keys, "masks"), stream(image_keys, "cells")
    return NoiseKeys(weights=stream(key, "weights"), masks=masks, cells=cells)


def cell_noise(keys: Key[Array, "batch"], like: FeatureMap, branch: int) -> FeatureMap:
    """Standard normal noise, independent at every cell and channel; one stream per image and branch."""
    return jax.vmap(lambda key: normal(jax.random.fold_in(key, branch), like.shape[1:], like.dtype))(keys)
