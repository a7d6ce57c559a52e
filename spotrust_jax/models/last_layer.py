"""Two ways to be unsure in the last layer alone, for a network that was trained without chance.

How their parameters are fitted is the business of training/post_hoc/.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.random import normal

Cells = Float[Array, "batch h w"]

# Of the Gauss-Hermite rule that averages over noise on the logit: exact to 1e-4 for standard deviations up to 4.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
_LOG_WEIGHTS = np.log(_WEIGHTS / np.sqrt(2 * np.pi))

LARGEST_LOG_VARIANCE = 10.0
"""The log variance of noise on the logit is kept within plus and minus this."""


class Laplace(nn.Module):
    """A normal posterior of the last layer's weights around their trained values (Daxberger et al. 2021)."""

    channels: int

    @nn.compact
    def __call__(self, activations: FeatureMap, keys: Key[Array, "batch"]) -> Cells:
        """What a draw of the weights, one for each image, adds to the logits of each cell."""
        size = self.channels + 1
        root = self.param("root", nn.initializers.zeros_init(), (size, size))
        drawn = jax.vmap(lambda key: root @ normal(key, (size,)))(keys)
        weights, bias = drawn[:, :-1], drawn[:, -1]
        return jnp.einsum("bhwc,bc->bhw", activations.astype(jnp.float32), weights) + bias[:, None, None]


class LogitNoise(nn.Module):
    """Log variance of normal noise on the logit, from the same activations as the logit (Kendall and Gal 2017)."""

    channels: int

    @nn.compact
    def __call__(self, activations: FeatureMap) -> Cells:
        """Of each cell, within `LARGEST_LOG_VARIANCE`."""
        kernel = self.param("kernel", nn.initializers.zeros_init(), (self.channels,))
        bias = self.param("bias", nn.initializers.zeros_init(), (1,))
        log_variance = jnp.einsum("bhwc,c->bhw", activations.astype(jnp.float32), kernel) + bias[0]
        return jnp.clip(log_variance, -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)


def log_likelihoods(
    logits: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Logarithms of the mean probability under noise on the logit, and of its complement, stable for any logit."""
    std = jnp.exp(0.5 * log_variance)
    nodes, weights = jnp.asarray(_NODES, jnp.float32), jnp.asarray(_LOG_WEIGHTS, jnp.float32)
    noisy = jax.vmap(lambda node: logits + std * node)(nodes)

    def mean(logits: Float[Array, "nodes *shape"]) -> Float[Array, "*shape"]:
        each = jax.vmap(lambda values, weight: jax.nn.log_sigmoid(values) + weight)(logits, weights)
        return jax.nn.logsumexp(each, axis=0)

    return mean(noisy), mean(-noisy)


def noisy_logits(logits: Float[Array, "*shape"], log_variance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logits of the mean probability under noise."""
    positive, negative = log_likelihoods(logits, log_variance)
    return positive - negative
