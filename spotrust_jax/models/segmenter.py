"""The network in two parts: `features`, which is deterministic, and `decode`, where the variant's noise enters.

The ensemble is no variant here: its members are deterministic (or stochastic) networks like these.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.head import AleatoricNetwork, SegmentationHead
from spotrust_jax.models.hrnet import Backbone, FeatureMap
from spotrust_jax.models.initialization import declarations, draw
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys, noise_keys
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.models.variants.variant import Features, Variant

Variables = dict[str, Any]


class SegmenterNetwork(nn.Module):
    """HRNetV2 with an aleatoric output; what is random in it, and which parts that takes, is its variant's.

    Apply it with `method="features"` and `method="decode"`, or called for both at once.
    """

    config: ModelConfig
    policy: Policy

    @property
    def variant(self) -> Variant:
        """What the network is beyond HRNetV2."""
        return variant_of(self.config)

    def setup(self) -> None:
        """Names here, and those of the variant's parts, are the top level of the parameter tree."""
        shape = architecture(self.config.preset, width=self.config.width, final_kernel=self.config.final_kernel)
        self.backbone = Backbone(shape, self.policy)
        for name, part in self.variant.parts(shape.branch_channels(), self.policy).items():
            setattr(self, name, part)
        self.head = SegmentationHead(shape.final_kernel, self.variant.interpolation, self.policy)
        self.aleatoric = AleatoricNetwork(self.policy)

    def features(
        self, images: Float[Array, "batch height width 3"], train: bool = False, freeze_backbone: bool = False
    ) -> Features:
        """Everything that samples share, from normalised images of any size from 32 x 32 up.

        With `freeze_backbone` the backbone's batch norm goes by its running statistics also when training.
        """
        branches = self.backbone(images, train and not freeze_backbone)
        return self.variant.features(self, branches, self.aleatoric(images, train), train)

    def decode(
        self, features: Features, keys: NoiseKeys | None = None, train: bool = False
    ) -> Float[Array, "batch height width"]:
        """Logits of corrosion in one sample, at the image's size; without keys, at the mean of the noise."""
        return self.variant.sample(self, features, keys, train)

    def last_layer_inputs(self, images: Float[Array, "batch height width 3"]) -> FeatureMap:
        """What the last layer of a trained deterministic network sees, at a quarter of the image's size."""
        return self.head.activations(self.backbone(images, False), False)

    def __call__(
        self,
        images: Float[Array, "batch height width 3"],
        keys: NoiseKeys | None = None,
        train: bool = False,
        freeze_backbone: bool = False,
    ) -> tuple[Float[Array, "batch height width"], Float[Array, "batch height width"]]:
        """Logits of one sample, and the log variance."""
        features = self.features(images, train, freeze_backbone)
        return self.decode(features, keys, train), features.log_variance


def build_network(config: ModelConfig, policy: Policy | None = None) -> SegmenterNetwork:
    """The network of a configuration; `policy` says over which devices batch norm averages."""
    return SegmenterNetwork(config, policy or Policy(dtype=config.dtype))


def variable_shapes(config: ModelConfig) -> Variables:
    """The tree of `params` and `batch_stats` as shapes and types, without computing anything."""
    return nn.unbox(_declarations(config))


def initial_variables(config: ModelConfig, key: Key[Array, ""]) -> Variables:
    """Freshly drawn `params` and `batch_stats`, float32 numpy arrays: each by the key and its name alone."""
    return draw(_declarations(config), key)


@functools.lru_cache(maxsize=8)
def _declarations(config: ModelConfig) -> Variables:
    """With noise, so that the parts that only noise needs have their parameters too; kept, as tracing takes seconds."""
    key = jax.random.key(0)
    return declarations(build_network(config), jnp.zeros((1, 32, 32, 3)), noise_keys(key, key[None]))


def normalize(
    images: Float[Array, "batch height width 3"],
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Array, "batch height width 3"]:
    """Images in [0, 1] by the channel statistics that the network was trained with."""
    return (images - jnp.asarray(mean)[None, None, None]) / jnp.asarray(std)[None, None, None]
