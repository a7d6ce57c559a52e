"""What a training step minimises: one of the losses in `losses.py`, and the divergence from the prior."""

import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float, Key, PyTree

from spotrust_jax.config import LossConfig, TrainConfig
from spotrust_jax.losses import (
    attenuated,
    attenuated_cross_entropy,
    dice_loss,
    focal_loss,
    logit_noise_cross_entropy,
    mean_of_scored,
    weighted_cross_entropy,
)
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.models.variants.registry import variant_of


def data_loss(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    keys: Key[Array, "batch"],
    config: LossConfig,
    scored: Bool[Array, "batch height width"] | None = None,
) -> Float[Array, ""]:
    """The configured loss of a batch, a mean over its scored pixels; only "logit_noise" draws from `keys`.

    Dice, of whole images, is a mean over images, each weighing as much as it has scored pixels.
    """
    range_ = {"bound": config.log_variance_bound, "bounding": config.log_variance_bounding, "scored": scored}
    weight = config.positive_weight
    match config.kind:
        case "attenuated":
            return attenuated_cross_entropy(logits, log_variance, labels, positive_weight=weight, **range_)
        case "focal":
            return attenuated(focal_loss(logits, labels, weight, config.focal_gamma), log_variance, **range_)
        case "combo":
            cross_entropy = attenuated_cross_entropy(logits, log_variance, labels, positive_weight=weight, **range_)
            return cross_entropy + config.dice_weight * _mean_dice(logits, labels, scored)
        case "dice":
            # Dice says nothing of single pixels: the log variance learns from the cross-entropy, the logits do not.
            cross_entropy = weighted_cross_entropy(stop_gradient(logits), labels, weight)
            return _mean_dice(logits, labels, scored) + attenuated(cross_entropy, log_variance, **range_)
        case "cross_entropy":
            # What is hard keeps its weight: attenuation would let the network leave it out.
            cross_entropy = weighted_cross_entropy(logits, labels, weight)
            learnt = attenuated(stop_gradient(cross_entropy), log_variance, **range_)
            dice = config.dice_weight * _mean_dice(logits, labels, scored)
            return mean_of_scored(cross_entropy, scored) + dice + learnt
        case "logit_noise":
            return logit_noise_cross_entropy(
                logits, log_variance, labels, keys, positive_weight=weight, noise_samples=config.noise_samples, **range_
            )


def _mean_dice(
    logits: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    scored: Bool[Array, "batch height width"] | None,
) -> Float[Array, ""]:
    of_pixels = jnp.broadcast_to(dice_loss(logits, labels, scored)[:, None, None], logits.shape)
    return mean_of_scored(of_pixels, scored)


def divergence(params: Variables, prior_means: PyTree, config: TrainConfig, training_pixels: int) -> Float[Array, ""]:
    """What the negative evidence lower bound adds to the data loss: the KL in nats per training pixel, 0 without one.

    It is the same for every batch, whatever is ignored there. `prior_means` is empty where the prior is centred on 0.
    """
    kl = variant_of(config.model).kl(params, prior_means)
    return jnp.zeros(()) if kl is None else config.loss.kl_weight * kl / training_pixels
