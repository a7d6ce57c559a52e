"""Photographs without labels, all kept in one array on the device, and random crops of them.

Nothing is read from disk or sent to the device while a network trains on them.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, Key, UInt8

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.augmentation import View, colour_jitter, random_blur, random_greyscale, random_view
from spotrust_jax.errors import InputError
from spotrust_jax.random import stream


class PhotographPool(NamedTuple):
    """Photographs of any sizes, one after the other, row by row.

    Attributes:
        pixels: of all photographs.
        starts: number of each photograph's first pixel.
        heights, widths: sizes in pixels.
    """

    pixels: UInt8[Array | np.ndarray, "pixel 3"]
    starts: Int32[Array | np.ndarray, "photograph"]
    heights: Int32[Array | np.ndarray, "photograph"]
    widths: Int32[Array | np.ndarray, "photograph"]


def make_pool(images: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> PhotographPool:
    """The photographs as one array.

    Raises:
        InputError: where they have more pixels than 32-bit numbers count.
    """
    images = list(images)
    heights, widths = (np.array([image.shape[axis] for image in images], np.int32) for axis in (0, 1))
    ends = np.cumsum(heights.astype(np.int64) * widths)
    if ends[-1] >= 2**31:
        raise InputError(
            f"the {len(images)} photographs have {ends[-1]:,} pixels, more than {2**31 - 1:,}: lower "
            f"config.data.long_side"
        )
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int32)
    return PhotographPool(np.concatenate([image.reshape(-1, 3) for image in images]), starts, heights, widths)


def random_crops(
    keys: Key[Array, "batch"], pool: PhotographPool, photographs: Int[Array, "batch"], config: AugmentationConfig
) -> Float[Array, "batch height width 3"]:
    """A crop of each of these photographs in [0, 1], placed, turned and coloured by its own key as in training."""
    pool = jax.tree.map(jnp.asarray, pool)
    return jax.vmap(lambda key, number: _random_crop(key, pool, number, config))(keys, photographs)


def _random_crop(
    key: Key[Array, ""], pool: PhotographPool, number: Int[Array, ""], config: AugmentationConfig
) -> Float[Array, "height width 3"]:
    view = random_view(stream(key, "view"), jnp.stack([pool.heights[number], pool.widths[number]]), config)
    image = _seen(view, pool, number) / 255.0
    image = colour_jitter(stream(key, "colour"), image, config)
    if config.greyscale:
        image = random_greyscale(stream(key, "greyscale"), image, config)
    return random_blur(stream(key, "blur"), image, config) if config.blur else image


def _seen(view: View, pool: PhotographPool, number: Int[Array, ""]) -> Float[Array, "height width 3"]:
    """Bilinear interpolation at the crossings of rows and columns, each pixel picked by its number."""
    by_row, by_column = pool.widths[number], 1
    if view.transposed is not None:
        by_row, by_column = jnp.where(view.transposed, 1, by_row), jnp.where(view.transposed, by_row, 1)

    def along(rows: Int[Array, "height"]) -> Float[Array, "height width 3"]:
        at = lambda columns: pool.pixels[  # noqa: E731
            pool.starts[number] + by_row * rows[:, None] + by_column * columns[None, :]
        ]
        share = view.columns.share[None, :, None]
        return (1.0 - share) * at(view.columns.above) + share * at(view.columns.below)

    share = view.rows.share[:, None, None]
    return (1.0 - share) * along(view.rows.above) + share * along(view.rows.below)
