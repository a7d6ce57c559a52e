"""Random changes to training examples, on the device and from explicit keys, image and mask together."""

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, UInt8

from spotrust_jax.config import AugmentationConfig
from spotrust_jax.random_streams import stream


def augment(
    keys: Key[Array, "batch"],
    images: UInt8[Array, "batch height width 3"],
    masks: Bool[Array, "batch height width"],
    config: AugmentationConfig,
) -> tuple[Float[Array, "batch h w 3"], Float[Array, "batch h w"]]:
    """Crops, flips and colours each example by its own key: images in [0, 1] and labels, 0 or 1, at the crop's size."""
    return jax.vmap(lambda key, image, mask: _augment_one(key, image, mask, config))(keys, images, masks)


def _augment_one(
    key: Key[Array, ""],
    image: UInt8[Array, "height width 3"],
    mask: Bool[Array, "height width"],
    config: AugmentationConfig,
) -> tuple[Float[Array, "h w 3"], Float[Array, "h w"]]:
    both = jnp.concatenate([image / 255.0, mask[..., None].astype(jnp.float32)], axis=-1)
    both = random_resized_crop(stream(key, "crop"), both, config)
    both = pix.random_flip_left_right(stream(key, "left_right"), both, probability=config.flip)
    both = pix.random_flip_up_down(stream(key, "up_down"), both, probability=config.flip)
    # The crop interpolates the mask; a pixel is corrosion where at least half of it is.
    return colour_jitter(stream(key, "colour"), both[..., :3], config), (both[..., 3] >= 0.5).astype(jnp.float32)


def random_resized_crop(
    key: Key[Array, ""], image: Float[Array, "height width channel"], config: AugmentationConfig
) -> Float[Array, "h w channel"]:
    """A random part of the image, by share of its area and aspect ratio, interpolated to `config.crop_size`."""
    height, width, channels = image.shape
    area_key, ratio_key, place_key = (stream(key, name) for name in ("area", "ratio", "place"))
    area = jax.random.uniform(area_key, minval=config.scale[0], maxval=config.scale[1])
    bounds = jnp.log(jnp.asarray(config.ratio))
    ratio = jnp.exp(jax.random.uniform(ratio_key, minval=bounds[0], maxval=bounds[1]))
    limits = jnp.asarray([height, width], jnp.float32)
    # The aspect ratio of the crop is relative to the image's own, so that scale 1 and ratio 1 are the whole image.
    crop = jnp.minimum(limits * jnp.sqrt(area) * jnp.stack([ratio**-0.5, ratio**0.5]), limits)
    corner = jax.random.uniform(place_key, (2,)) * (limits - crop)
    scale = jnp.asarray(config.crop_size, jnp.float32) / crop
    return jax.image.scale_and_translate(
        image, (*config.crop_size, channels), (0, 1), scale, -corner * scale, "linear", antialias=False
    )


def colour_jitter(
    key: Key[Array, ""], image: Float[Array, "h w 3"], config: AugmentationConfig
) -> Float[Array, "h w 3"]:
    """Random brightness, contrast, saturation and hue, in this order, within [0, 1]."""

    def factor(name: str, largest: float) -> Float[Array, ""]:
        return jax.random.uniform(stream(key, name), minval=-largest, maxval=largest)

    image = jnp.clip(image * (1.0 + factor("brightness", config.brightness)), 0.0, 1.0)
    image = jnp.clip(pix.adjust_contrast(image, 1.0 + factor("contrast", config.contrast)), 0.0, 1.0)
    image = jnp.clip(pix.adjust_saturation(image, 1.0 + factor("saturation", config.saturation)), 0.0, 1.0)
    return jnp.clip(pix.adjust_hue(image, factor("hue", config.hue)), 0.0, 1.0)
