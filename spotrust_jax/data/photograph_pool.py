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
from spotrust_jax.data.augmentation import colour_jitter, random_blur, random_greyscale
from spotrust_jax.errors import InputError
from spotrust_jax.random_streams import stream


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
    """A crop of each of these photographs in [0, 1], magnified by one factor, flipped and coloured by its own key."""
    pool = jax.tree.map(jnp.asarray, pool)
    return jax.vmap(lambda key, number: _random_crop(key, pool, number, config))(keys, photographs)


def _random_crop(
    key: Key[Array, ""], pool: PhotographPool, number: Int[Array, ""], config: AugmentationConfig
) -> Float[Array, "height width 3"]:
    rows, columns = _random_window(stream(key, "crop"), pool.heights[number], pool.widths[number], config)
    rows, columns = (_flipped(stream(key, name), x, config) for name, x in (("up_down", rows), ("left_right", columns)))
    image = _interpolated(pool, number, rows, columns) / 255.0
    image = colour_jitter(stream(key, "colour"), image, config)
    if config.greyscale:
        image = random_greyscale(stream(key, "greyscale"), image, config)
    return random_blur(stream(key, "blur"), image, config) if config.blur else image


def _random_window(
    key: Key[Array, ""], height: Int[Array, ""], width: Int[Array, ""], config: AugmentationConfig
) -> tuple[Float[Array, "height"], Float[Array, "width"]]:
    """Positions of the crop's rows and columns in the photograph, equally far apart in both directions."""
    sizes = jnp.stack([height, width]).astype(jnp.float32)
    crop = jnp.asarray(config.crop_size, jnp.float32)
    share = jax.random.uniform(stream(key, "area"), minval=config.scale[0], maxval=config.scale[1])
    # Pixels of the photograph for one of the crop; the window stays within the photograph.
    spacing = jnp.minimum(jnp.sqrt(share * jnp.prod(sizes) / jnp.prod(crop)), jnp.min(sizes / crop))
    corner = jax.random.uniform(stream(key, "place"), (2,)) * (sizes - spacing * crop)
    rows, columns = (
        corner[axis] + (jnp.arange(config.crop_size[axis]) + 0.5) * spacing - 0.5 for axis in range(len(crop))
    )
    return rows, columns


def _flipped(
    key: Key[Array, ""], positions: Float[Array, "count"], config: AugmentationConfig
) -> Float[Array, "count"]:
    return jnp.where(jax.random.bernoulli(key, config.flip), positions[::-1], positions)


def _interpolated(
    pool: PhotographPool, number: Int[Array, ""], rows: Float[Array, "height"], columns: Float[Array, "width"]
) -> Float[Array, "height width 3"]:
    """Bilinear interpolation at the crossings of rows and columns."""
    height, width = pool.heights[number], pool.widths[number]

    def around(positions: Array, size: Array) -> tuple[Array, Array, Array]:
        positions = jnp.clip(positions, 0.0, size - 1.0)
        first = jnp.floor(positions).astype(jnp.int32)
        return first, jnp.minimum(first + 1, size - 1), positions - first

    top, bottom, down = around(rows, height)
    left, right, across = around(columns, width)
    at = lambda row, column: pool.pixels[pool.starts[number] + row[:, None] * width + column[None, :]]  # noqa: E731
    down, across = down[:, None, None], across[None, :, None]
    above = (1 - across) * at(top, left) + across * at(top, right)
    below = (1 - across) * at(bottom, left) + across * at(bottom, right)
    return (1 - down) * above + down * below
