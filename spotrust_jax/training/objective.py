"""What a training step minimises: one of the losses in `losses.py`, and the divergence from the prior."""

from jax.lax import stop_gradient
from jaxtyping import Array, Float, Key, PyTree

from spotrust_jax.config import TrainConfig
from spotrust_jax.losses import (
    attenuated,
    attenuated_cross_entropy,
    dice_loss,
    focal_loss,
    logit_noise_cross_entropy,
    variational_kl,
    weighted_cross_entropy,
)
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.recipe import LossConfig


def data_loss(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    keys: Key[Array, "batch"],
    config: LossConfig,
) -> Float[Array, ""]:
    """The configured loss of a batch, a mean over its images; only "logit_noise" draws from `keys`."""
    range_ = {"bound": config.log_variance_bound, "bounding": config.log_variance_bounding}
    weight = config.positive_weight
    match config.kind:
        case "attenuated":
            return attenuated_cross_entropy(logits, log_variance, labels, positive_weight=weight, **range_)
        case "focal":
            return attenuated(focal_loss(logits, labels, weight, config.focal_gamma), log_variance, **range_)
        case "combo":
            cross_entropy = attenuated_cross_entropy(logits, log_variance, labels, positive_weight=weight, **range_)
            return cross_entropy + config.dice_weight * dice_loss(logits, labels).mean()
        case "dice":
            # Dice says nothing of single pixels: the log variance learns from the cross-entropy, the logits do not.
            cross_entropy = weighted_cross_entropy(stop_gradient(logits), labels, weight)
            return dice_loss(logits, labels).mean() + attenuated(cross_entropy, log_variance, **range_)
        case "logit_noise":
            return logit_noise_cross_entropy(
                logits, log_variance, labels, keys, positive_weight=weight, noise_samples=config.noise_samples, **range_
            )


def negative_evidence(
    loss: Float[Array, ""], params: Variables, prior_means: PyTree, config: TrainConfig, training_pixels: int
) -> Float[Array, ""]:
    """Negative evidence lower bound per training pixel, in nats: the data loss, and for the variational network the KL.

    `prior_means` is empty where the prior is centred on 0.
    """
    if config.model.variant != "variational":
        return loss
    kl = variational_kl(params, config.model.prior_deviation, prior_means)
    return loss + config.loss.kl_weight * kl / training_pixels
