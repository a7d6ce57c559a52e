"""The network in its variants, as two halves: `features`, deterministic, and `decode`, where chance enters.

The ensemble is no variant here: its members are deterministic (or stochastic) networks like these.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from spotrust_jax.errors import InputError
from spotrust_jax.fields import BelowOne, PositiveFloat, Range, Ranged
from spotrust_jax.models.head import (
    AleatoricNetwork,
    BayesianConv,
    DropoutMask,
    Estimator,
    NoiseKeys,
    SegmentationHead,
    cell_noise,
    dropout,
)
from spotrust_jax.models.hrnet import Backbone, FeatureMap
from spotrust_jax.models.last_layer import Laplace, LogitNoise, noisy_logits
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.resize import Interpolation, resize
from spotrust_jax.random import fold_each
from spotrust_jax.typing import Dimension

Variant = Literal["deterministic", "variational", "dropout", "laplace", "logit_noise"]

LAST_LAYER: tuple[Variant, ...] = ("laplace", "logit_noise")
"""Variants whose last layer is fitted to a trained deterministic network."""

Variables = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ModelConfig(Ranged, section="model"):
    """Which network.

    Attributes:
        variant: "deterministic", "variational", "dropout" or, made of a trained deterministic network, "laplace", which
            draws weights of the last layer, or "logit_noise", whose logit has noise of a variance that it predicts.
        preset: one of `presets.PRESETS`.
        width: channels of the finest branch where not the preset's, else 0.
        final_kernel: side of the head's last convolution, 1 or 3.
        estimator: variational: "local_reparameterization" draws activations, "kernel" draws kernels once a pass, and
            "flipout" turns their signs for each image.
        prior_deviation: variational: standard deviation of the weights' normal prior, mean 0.
        dropout_rate: dropout: probability that an element is set to zero.
        dropout_mask: dropout: "element", or "channel" for masks that hold all over an image.
        dtype: precision of computation, "float32" or "bfloat16".
    """

    variant: Variant = "variational"
    preset: str = "w48"
    width: Annotated[int, Range(0, 4096, what="channels")] = 0
    final_kernel: Annotated[int, Range(1, 3, what="pixels")] = 1
    estimator: Estimator = "local_reparameterization"
    prior_std: PositiveFloat = 0.1
    dropout_rate: BelowOne = 0.5
    dropout_mask: DropoutMask = "element"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        architecture(self.preset, width=self.width, final_kernel=self.final_kernel)
        super().__post_init__()
        if self.variant in LAST_LAYER and self.final_kernel != 1:
            raise InputError(f"model.final_kernel is {self.final_kernel}: variant {self.variant} is for 1 alone")

    @property
    def stochastic(self) -> bool:
        """Whether passes differ."""
        return self.variant in ("variational", "dropout", "laplace")

    @property
    def head_interpolation(self) -> Interpolation:
        """How the head upsamples: the reference does it bicubically to noisy branches, bilinearly to plain ones."""
        return "bicubic" if self.variant in ("variational", "dropout") else "bilinear"

    @property
    def draws_kernels(self) -> bool:
        """Whether each pass has weights of its own, which makes batches of passes slow."""
        return self.variant == "variational" and self.estimator != "local_reparameterization"


class Features(NamedTuple):
    """What all passes over an image share.

    Attributes:
        branches: the head's inputs before noise, finest first: the Bayesian convolutions' means under local
            reparameterisation, else the backbone's four outputs. Of variants of the last layer its input alone.
        deviations: standard deviations of the noise on them under local reparameterisation, else empty.
        log_variance: the aleatoric log variance at the image's size; of the noise on the logit where there is such.
    """

    branches: tuple[FeatureMap, ...]
    stds: tuple[FeatureMap, ...]
    log_variance: Float[Array, "batch height width"]


class SegmenterNetwork(nn.Module):
    """HRNetV2 with an aleatoric output and, by variant, noise at the end of each branch.

    Apply it with `method="features"` and `method="decode"`, or called for both at once.
    """

    config: ModelConfig
    policy: Policy

    def setup(self) -> None:
        """Names here are the top level of the parameter tree."""
        shape = architecture(self.config.preset, width=self.config.width, final_kernel=self.config.final_kernel)
        self.backbone = Backbone(shape, self.policy)
        if self.config.variant == "variational":
            self.bayesian = [BayesianConv(channels, self.policy) for channels in shape.branch_channels()]
        self.head = SegmentationHead(shape.final_kernel, self.config.head_interpolation, self.policy)
        self.aleatoric = AleatoricNetwork(self.policy)
        if self.config.variant == "laplace":
            self.laplace = Laplace(sum(shape.branch_channels()))
        if self.config.variant == "logit_noise":
            self.logit_noise = LogitNoise(sum(shape.branch_channels()))

    def features(
        self, images: Float[Array, "batch height width 3"], train: bool = False, freeze_backbone: bool = False
    ) -> Features:
        """Everything that passes share, from normalised images of any size from 32 x 32 up.

        With `freeze_backbone` the backbone's batch norm goes by its running statistics also when training.
        """
        branches = self.backbone(images, train and not freeze_backbone)
        log_variance = self.aleatoric(images, train)
        if self.config.variant in LAST_LAYER:
            activations = self.head.activations(branches, train)
            if self.config.variant == "logit_noise":
                log_variance = self._enlarged(self.logit_noise(activations), images.shape[1:3])
            return Features((activations,), (), log_variance)
        if self.config.variant != "variational" or self.config.draws_kernels:
            return Features(branches, (), log_variance)
        moments = [layer.moments(x) for layer, x in zip(self.bayesian, branches, strict=True)]
        means, stds = zip(*moments, strict=True)
        return Features(means, stds, log_variance)

    def decode(
        self, features: Features, keys: NoiseKeys | None = None, train: bool = False
    ) -> Float[Array, "batch height width"]:
        """Logits of corrosion in one pass, at the image's size; without keys, at the mean of the noise."""
        if self.config.variant in LAST_LAYER:
            return self._last_layer(features, keys)
        return self.head(self._noisy(features, keys), features.log_variance.shape[1:], train)

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
        """Logits of one pass, and the log variance."""
        features = self.features(images, train, freeze_backbone)
        return self.decode(features, keys, train), features.log_variance

    def _last_layer(self, features: Features, keys: NoiseKeys | None) -> Float[Array, "batch height width"]:
        """Logits of variants that differ in the last layer."""
        (activations,), size = features.branches, features.log_variance.shape[1:]
        logits = self.head.logit(activations)[..., 0].astype(jnp.float32)
        if self.config.variant == "logit_noise":
            return noisy_logits(self._enlarged(logits, size), features.log_variance)
        return self._enlarged(logits if keys is None else logits + self.laplace(activations, keys.masks), size)

    def _enlarged(
        self, cells: Float[Array, "batch h w"], size: tuple[Dimension, Dimension]
    ) -> Float[Array, "batch height width"]:
        return resize(cells[..., None], size, self.config.head_interpolation)[..., 0]

    def _noisy(self, features: Features, keys: NoiseKeys | None) -> tuple[FeatureMap, ...]:
        """The head's inputs in one pass."""
        branches = features.branches
        if self.config.draws_kernels:
            layers = enumerate(zip(self.bayesian, branches, strict=True))
            return tuple(self._drawn(layer, x, keys, branch) for branch, (layer, x) in layers)
        if keys is None or not self.config.stochastic:
            return branches
        if self.config.variant == "dropout":
            rate, mask = self.config.dropout_rate, self.config.dropout_mask
            return tuple(dropout(x, keys, b, rate=rate, mask=mask) for b, x in enumerate(branches))
        pairs = enumerate(zip(branches, features.stds, strict=True))
        return tuple(mean + std * cell_noise(keys.cells, mean, b) for b, (mean, std) in pairs)

    def _drawn(self, layer: BayesianConv, x: FeatureMap, keys: NoiseKeys | None, branch: int) -> FeatureMap:
        if keys is None:
            return layer.mean(x)
        weights = jax.random.fold_in(keys.weights, branch)
        if self.config.estimator == "kernel":
            return layer.draw(x, weights)
        return layer.flipped(x, weights, fold_each(keys.masks, branch))


def build_network(config: ModelConfig, policy: Policy | None = None) -> SegmenterNetwork:
    """The network of a configuration; `policy` says over which devices batch norm averages."""
    return SegmenterNetwork(config, policy or Policy(dtype=config.dtype))


def variable_shapes(config: ModelConfig) -> Variables:
    """The tree of `params` and `batch_stats` as shapes and types, without computing anything."""
    return jax.eval_shape(_initialise(config), jax.random.key(0))


def initial_variables(config: ModelConfig, key: Key[Array, ""]) -> Variables:
    """Freshly drawn `params` and `batch_stats`, float32."""
    return jax.jit(_initialise(config))(key)


def _initialise(config: ModelConfig) -> Callable[[Key[Array, ""]], Variables]:
    network = build_network(config)
    return lambda key: network.init(key, jnp.zeros((1, 32, 32, 3)))


def normalize(
    images: Float[Array, "batch height width 3"],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Float[Array, "batch height width 3"]:
    """Images in [0, 1] by the channel statistics that the network was trained with."""
    return (images - jnp.asarray(mean)[None, None, None]) / jnp.asarray(std)[None, None, None]
