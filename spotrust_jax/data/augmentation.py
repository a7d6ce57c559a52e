"""Random changes to training examples, on the device and from explicit keys, image and mask together."""

import functools
import math
from typing import NamedTuple, cast

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Num, UInt8

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.random import stream

# Views and blur pick whole rows, of the image and of its transpose. On a CPU that is ten times faster than
# jax.image.scale_and_translate, which multiplies by matrices that are nearly empty, and than pix.gaussian_blur, which
# is a grouped convolution there and darkens the edges.

# Positions are whole numbers of these parts of a pixel. Where the compiler computes floats twice, it may round
# them differently: the row above and the share of the one below would not belong together, nor image and mask.
_PARTS = 1 << 16

# What is covered by half must not be decided by rounding.
_TIE = 1e-7


class Augmented(NamedTuple):
    """Images in [0, 1], labels 0 or 1, and whether each pixel is scored, at the crop's size."""

    images: Float[Array, "*batch h w 3"]
    labels: Float[Array, "*batch h w"]
    scored: Bool[Array, "*batch h w"]


class Rows(NamedTuple):
    """Rows between those of an image: a share of one row below, the rest of the row above."""

    above: Int[Array, "count"]
    below: Int[Array, "count"]
    share: Float[Array, "count"]


class View(NamedTuple):
    """Rows and columns of an image, or of its transpose where `transposed` is there and true."""

    rows: Rows
    columns: Rows
    transposed: Bool[Array, ""] | None = None


def augment(
    keys: Key[Array, "batch"],
    images: UInt8[Array, "batch height width 3"],
    masks: Bool[Array, "batch height width"],
    ignored: Bool[Array, "batch height width"],
    extents: Int[Array, "batch 2"],
    config: AugmentationConfig,
) -> Augmented:
    """Crops, turns and colours each example by its own key.

    Examples lie in the upper left corners of the arrays; `extents` are their heights and widths in pixels. Nothing
    beyond them is seen.
    """
    one = functools.partial(_augment_one, config=config)
    return jax.vmap(one)(keys, images, masks, ignored, extents)


def _augment_one(
    key: Key[Array, ""],
    image: UInt8[Array, "height width 3"],
    mask: Bool[Array, "height width"],
    ignored: Bool[Array, "height width"],
    extent: Int[Array, "2"],
    config: AugmentationConfig,
) -> Augmented:
    view = random_view(key, extent, config)
    # Together, so that rows are picked once.
    label = jnp.stack([mask & ~ignored, ~ignored], axis=-1).astype(jnp.uint8)
    seen = _seen(view, jnp.concatenate([image, label], axis=-1))
    image, corroded, known = seen[..., :3] / 255.0, seen[..., 3], seen[..., 4]
    scored = known >= 0.5 - _TIE
    # A pixel is corrosion where at least half of what is known of it is.
    label = (scored & (corroded >= 0.5 * known - _TIE)).astype(jnp.float32)
    image = colour_jitter(stream(key, "colour"), image, config)
    if config.greyscale:
        image = random_greyscale(stream(key, "greyscale"), image, config)
    if config.blur:
        image = random_blur(stream(key, "blur"), image, config)
    return Augmented(image, label, scored)


def random_view(key: Key[Array, ""], shape: Int[Array, "2"], config: AugmentationConfig) -> View:
    """A random part of an image of this height and width, by share of its area and by aspect ratio, flipped and turned
    at random."""
    start, extent = random_rectangle(stream(key, "crop"), shape, config)
    quarters = _random_quarters(stream(key, "turn"), config)

    def rows(axis: int, flip: str, turned: Bool[Array, ""]) -> Rows:
        count, last = config.crop_size[axis], shape[axis] - 1
        first, step = (jnp.round(_PARTS * value).astype(jnp.int32) for value in (start[axis], extent[axis] / count))
        # The middle of each row of the crop, from that of the photograph's first row on.
        position = first + jnp.arange(count) * step + (step - _PARTS) // 2
        reverse = jax.random.bernoulli(stream(key, flip), config.flip) ^ turned
        position = jnp.clip(jnp.where(reverse, position[::-1], position), 0, last * _PARTS)
        above = position // _PARTS
        return Rows(above, jnp.minimum(above + 1, last), (position % _PARTS) / _PARTS)

    # A quarter turn to the left is the columns in reverse, then the transpose.
    view = View(rows(0, "up_down", quarters >= 2), rows(1, "left_right", (quarters == 1) | (quarters == 2)))
    return _transposed_if(quarters % 2 == 1, view) if config.turns and _square(config) else view


def random_rectangle(
    key: Key[Array, ""], shape: Int[Array, "2"], config: AugmentationConfig
) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
    """Upper left corner, and height and width, in pixels, of the part of an image that becomes a crop.

    Its area is a share of the image's, its aspect ratio the crop's own times `config.ratio`: that is how much the crop
    is stretched, whatever shape the image has. Where such a rectangle does not fit, both sides shrink by one factor.
    """
    area_key, ratio_key, place_key = (stream(key, name) for name in ("area", "ratio", "place"))
    limits = shape.astype(jnp.float32)
    area = jax.random.uniform(area_key, minval=config.scale[0], maxval=config.scale[1]) * limits[0] * limits[1]
    bounds = jnp.log(jnp.asarray(config.ratio))
    height, width = config.crop_size
    ratio = width / height * jnp.exp(jax.random.uniform(ratio_key, minval=bounds[0], maxval=bounds[1]))
    extent = jnp.sqrt(area * jnp.stack([1.0 / ratio, ratio]))
    extent = extent * jnp.minimum(1.0, jnp.min(limits / extent))
    return jax.random.uniform(place_key, (2,)) * (limits - extent), extent


def _random_quarters(key: Key[Array, ""], config: AugmentationConfig) -> Int[Array, ""]:
    """Quarter turns to the left: with probability `config.turns` one to three, or two if the crop is not square."""
    if not config.turns:
        return jnp.zeros((), jnp.int32)
    choices = jnp.asarray([1, 2, 3] if _square(config) else [2])
    choice = jax.random.choice(stream(key, "quarters"), choices)
    return jnp.where(jax.random.bernoulli(stream(key, "whether"), config.turns), choice, 0)


def _square(config: AugmentationConfig) -> bool:
    return config.crop_size[0] == config.crop_size[1]


def _transposed_if(condition: Bool[Array, ""], view: View) -> View:
    """The transpose of what is seen is the same view of the image's transpose, rows and columns changing places."""

    def chosen(yes: Rows, no: Rows) -> Rows:
        return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)

    return View(chosen(view.columns, view.rows), chosen(view.rows, view.columns), condition)


def _seen(view: View, image: Num[Array, "height width *channel"]) -> Float[Array, "h w *channel"]:
    """Bilinear interpolation at the crossings of rows and columns."""

    def interpolated(image: Num[Array, "..."], rows: Rows) -> Float[Array, "..."]:
        share = rows.share.reshape(-1, *[1] * (image.ndim - 1))
        return (1.0 - share) * image[rows.above] + share * image[rows.below]

    if view.transposed is not None:
        image = _squared(image)
        image = jnp.where(view.transposed, image.swapaxes(0, 1), image)
    return interpolated(interpolated(image.swapaxes(0, 1), view.columns).swapaxes(0, 1), view.rows)


def _squared(image: Num[Array, "height width *channel"]) -> Num[Array, "side side *channel"]:
    """Padded, so that it and its transpose have one shape; no view shows the padding."""
    side = max(image.shape[:2])
    padding = [(0, side - image.shape[0]), (0, side - image.shape[1]), *[(0, 0)] * (image.ndim - 2)]
    return jnp.pad(image, padding)


def colour_jitter(
    key: Key[Array, ""], image: Float[Array, "h w 3"], config: AugmentationConfig
) -> Float[Array, "h w 3"]:
    """Random brightness, contrast, saturation and hue, in this order, within [0, 1]."""

    def factor(name: str, largest: float) -> Float[Array, ""]:
        return jax.random.uniform(stream(key, name), minval=-largest, maxval=largest)

    image = jnp.clip(image * (1.0 + factor("brightness", config.brightness)), 0.0, 1.0)
    image = jnp.clip(pix.adjust_contrast(image, 1.0 + factor("contrast", config.contrast)), 0.0, 1.0)
    return adjust_saturation_and_hue(image, 1.0 + factor("saturation", config.saturation), factor("hue", config.hue))


def adjust_saturation_and_hue(
    image: Float[Array, "h w 3"], factor: Float[Array, ""], turn: Float[Array, ""]
) -> Float[Array, "h w 3"]:
    """Multiplies the saturation, as far as it goes, and turns the hue by a part of the full circle.

    pix.adjust_saturation and adjust_hue ask which channel equals the largest one. Where the compiler computes a channel
    twice, rounded differently, none does and the hue is wrong: seen in one pixel of eight.
    """
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    tiny = jnp.finfo(image.dtype).tiny
    in_red = (green - blue) / jnp.maximum(chroma, tiny)
    in_green = 2.0 + (blue - red) / jnp.maximum(chroma, tiny)
    in_blue = 4.0 + (red - green) / jnp.maximum(chroma, tiny)
    sixths = jnp.where(red >= jnp.maximum(green, blue), in_red, jnp.where(green >= blue, in_green, in_blue))
    saturation = jnp.clip(factor * chroma / jnp.maximum(value, tiny), 0.0, 1.0)
    return cast(Array, pix.hsv_to_rgb(jnp.stack([sixths / 6.0 + turn, saturation, value], axis=-1)))


def random_greyscale(
    key: Key[Array, ""], image: Float[Array, "h w 3"], config: AugmentationConfig
) -> Float[Array, "h w 3"]:
    """With probability `config.greyscale` the luma (ITU-R BT.601) in all three channels."""
    grey = jax.random.bernoulli(key, config.greyscale)
    return jnp.where(grey, pix.rgb_to_grayscale(image, keep_dims=True), image)


def random_blur(key: Key[Array, ""], image: Float[Array, "h w 3"], config: AugmentationConfig) -> Float[Array, "h w 3"]:
    """With probability `config.blur` a Gaussian blur of a sigma uniform in `config.blur_sigma`; edges continue."""
    smallest, largest = config.blur_sigma
    sigma = jax.random.uniform(stream(key, "sigma"), minval=smallest, maxval=largest)
    radius = math.ceil(3 * largest)
    weights = jnp.exp(-((jnp.arange(-radius, radius + 1) / sigma) ** 2) / 2)
    weights = weights / jnp.sum(weights)
    blurred = _weighted_rows(_weighted_rows(image, weights).swapaxes(0, 1), weights).swapaxes(0, 1)
    return jnp.where(jax.random.bernoulli(stream(key, "whether"), config.blur), blurred, image)


def _weighted_rows(
    image: Float[Array, "height width channel"], weights: Float[Array, "taps"]
) -> Float[Array, "height width channel"]:
    """Each row the weighted sum of the rows around it; the first and the last row go on beyond the edges."""
    height, radius = image.shape[0], len(weights) // 2

    def shifted(offset: int) -> Float[Array, "height width channel"]:
        return image[jnp.clip(jnp.arange(height) + offset, 0, height - 1)]

    rows = (weights[radius + offset] * shifted(offset) for offset in range(-radius, radius + 1))
    return functools.reduce(jnp.add, rows)
