"""Normal noise on the logit, of a variance that the last layer predicts (Kendall and Gal 2017).

The mean over the noise is computed, not sampled.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.initialization import constant
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.logistic_normal import log_mean_sigmoids
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.variants.last_layer import Cells, LastLayer
from spotrust_jax.models.variants.variant import Features, Parts

LARGEST_LOG_VARIANCE = 10.0
"""The log variance of noise on the logit is kept within plus and minus this."""


class LogVarianceLayer(nn.Module):
    """Log variance of normal noise on the logit, from the same activations as the logit."""

    channels: int

    @nn.compact
    def __call__(self, activations: FeatureMap) -> Cells:
        """Of each cell, within `LARGEST_LOG_VARIANCE`."""
        kernel = self.param("kernel", constant(0.0), (self.channels,))
        bias = self.param("bias", constant(0.0), (1,))
        log_variance = jnp.einsum("bhwc,c->bhw", activations.astype(jnp.float32), kernel) + bias[0]
        return jnp.clip(log_variance, -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)


class LogitNoise(LastLayer):
    """The aleatoric log variance is that of the noise on the logit, and the probability is the mean over this noise."""

    name = "logit_noise"
    log_variance_bound = LARGEST_LOG_VARIANCE

    def parts(self, channels: tuple[int, ...], policy: Policy) -> Parts:
        """The second output of the last layer."""
        return {"logit_noise": LogVarianceLayer(sum(channels))}

    def features(
        self,
        network: nn.Module,
        branches: tuple[FeatureMap, ...],
        log_variance: Float[Array, "batch height width"],
        train: bool,
    ) -> Features:
        """The activations that the last layer sees, and the log variance that it predicts from them."""
        activations = network.head.activations(branches, train)
        return Features((activations,), (), self.enlarged(network.logit_noise(activations), log_variance.shape[1:]))

    def sample(
        self, network: nn.Module, features: Features, keys: NoiseKeys | None, train: bool
    ) -> Float[Array, "batch height width"]:
        """Logits of the mean probability under the noise."""
        logits = self.enlarged(self.logits(network, features), features.log_variance.shape[1:])
        return noisy_logits(logits, features.log_variance)


def log_likelihoods(
    logits: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Logarithms of the mean probability under noise on the logit, and of its complement, stable for any logit."""
    return log_mean_sigmoids(logits, jnp.exp(0.5 * log_variance))


def noisy_logits(logits: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logits of the mean probability under noise."""
    positive, negative = log_likelihoods(logits, log_variance)
    return positive - negative
