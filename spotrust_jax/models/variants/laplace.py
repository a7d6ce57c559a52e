"""Laplace approximation of the posterior of a trained network's last layer (Daxberger et al. 2021)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.initialization import constant
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.variants.last_layer import Cells, LastLayer
from spotrust_jax.models.variants.variant import Features, Parts, Sharing
from spotrust_jax.random import normal


class WeightPosterior(nn.Module):
    """A normal posterior of the last layer's weights around their trained values."""

    channels: int

    @nn.compact
    def __call__(self, activations: FeatureMap, keys: Key[Array, "batch"]) -> Cells:
        """What a draw of the weights, one for each image, adds to the logits of each cell."""
        size = self.channels + 1
        root = self.param("root", constant(0.0), (size, size))
        drawn = jax.vmap(lambda key: root @ normal(key, (size,)))(keys)
        weights, bias = drawn[:, :-1], drawn[:, -1]
        return jnp.einsum("bhwc,bc->bhw", activations.astype(jnp.float32), weights) + bias[:, None, None]


class LastLayerLaplace(LastLayer):
    """Every sample has weights of its own in the last layer."""

    name = "laplace"

    @property
    def noise(self) -> Sharing:
        """The weights are few, so that each image of a batch has its own at once."""
        return "image"

    def parts(self, channels: tuple[int, ...], policy: Policy) -> Parts:
        """The posterior."""
        return {"laplace": WeightPosterior(sum(channels))}

    def features(
        self,
        network: nn.Module,
        branches: tuple[FeatureMap, ...],
        log_variance: Float[Array, "batch height width"],
        train: bool,
    ) -> Features:
        """The activations that the last layer sees."""
        return Features((network.head.activations(branches, train),), (), log_variance)

    def sample(
        self, network: nn.Module, features: Features, keys: NoiseKeys | None, train: bool
    ) -> Float[Array, "batch height width"]:
        """Logits at one draw of the last layer's weights."""
        logits = self.logits(network, features)
        if keys is not None:
            logits = logits + network.laplace(features.branches[0], keys.masks)
        return self.enlarged(logits, features.log_variance.shape[1:])

    @property
    def exported_noise(self) -> str:
        """Drawn weights of the last layer."""
        return "last_layer"
