"""What follows the backbone: the segmentation head, the two sources of chance, and the aleatoric network.

This is where chance enters the network, always from keys in the arguments.
"""

from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Key

from spotrust_jax.models.fast import row_blocks
from spotrust_jax.models.hrnet import FeatureMap, Stem
from spotrust_jax.models.layers import Conv, ConvNorm, Norm, Policy, convolve, he_fan_out, nearly_zero
from spotrust_jax.models.resize import Interpolation, resize
from spotrust_jax.random import bernoulli, normal, stream
from spotrust_jax.typing import Dimension

Estimator = Literal["local_reparameterization", "kernel", "flipout"]
DropoutMask = Literal["element", "channel"]


class NoiseKeys(NamedTuple):
    """Keys of one stochastic pass, by what shares a draw.

    Attributes:
        weights: kernel draws, shared by everything that goes through the network in this call.
        masks: channel masks and signs, one per image and the same at all its places.
        cells: noise that is independent from cell to cell, one per image.
    """

    weights: Key[Array, ""]
    masks: Key[Array, "batch"]
    cells: Key[Array, "batch"]


def noise_keys(key: Key[Array, ""], image_keys: Key[Array, "batch"]) -> NoiseKeys:
    """Keys of one pass by the names of their streams: `key` for what the whole call shares, one more for each image."""
    masks, cells = stream(image_keys, "masks"), stream(image_keys, "cells")
    return NoiseKeys(weights=stream(key, "weights"), masks=masks, cells=cells)


def normal_init(mean: float, std: float) -> nn.initializers.Initializer:
    """Initialiser of independent normal draws."""
    return lambda key, shape, dtype=jnp.float32: mean + std * normal(key, shape, dtype)


class BayesianConv(nn.Module):
    """3x3 convolution with bias whose weights are independent normals, sigma = softplus(rho)."""

    channels: int
    policy: Policy

    def setup(self) -> None:
        """Mean drawn around 0 and rho around -3, both with standard deviation 0.1, as in the reference."""
        kernel, bias = (3, 3, self.channels, self.channels), (self.channels,)
        self.kernel_mean = self.param("kernel_mean", normal_init(0.0, 0.1), kernel)
        self.kernel_rho = self.param("kernel_rho", normal_init(-3.0, 0.1), kernel)
        self.bias_mean = self.param("bias_mean", normal_init(0.0, 0.1), bias)
        self.bias_rho = self.param("bias_rho", normal_init(-3.0, 0.1), bias)

    def moments(self, x: FeatureMap) -> tuple[FeatureMap, FeatureMap]:
        """Mean and standard deviation of the output at every cell, over draws of the weights."""
        variance = self._convolve(jnp.square(x), nn.softplus(self.kernel_rho) ** 2, nn.softplus(self.bias_rho) ** 2)
        return self.mean(x), jnp.sqrt(variance)

    def mean(self, x: FeatureMap) -> FeatureMap:
        """Output at the mean of the weights."""
        return self._convolve(x, self.kernel_mean, self.bias_mean)

    def draw(self, x: FeatureMap, key: Key[Array, ""]) -> FeatureMap:
        """Output at one draw of the weights."""
        kernel_key, bias_key = jax.random.split(key)
        kernel = self.kernel_mean + nn.softplus(self.kernel_rho) * normal(kernel_key, self.kernel_mean.shape)
        bias = self.bias_mean + nn.softplus(self.bias_rho) * normal(bias_key, self.bias_mean.shape)
        return self._convolve(x, kernel, bias)

    def flipped(self, x: FeatureMap, key: Key[Array, ""], image_keys: Key[Array, "batch"]) -> FeatureMap:
        """Output at one draw of the weights whose signs each image turns by channel (Wen et al. 2018).

        A batch shares the draw, and its images' outputs are uncorrelated all the same, which makes gradients quieter.
        """
        std = nn.softplus(self.kernel_rho) * normal(key, self.kernel_mean.shape)
        turned = [_image_noise(image_keys, name, self.channels, x.dtype) for name in ("inputs", "outputs")]
        signs_in, signs_out = (jnp.where(values > 0, 1, -1).astype(x.dtype) for values in turned)
        bias = nn.softplus(self.bias_rho)[None, None, None] * _image_noise(image_keys, "bias", self.channels, x.dtype)
        none = jnp.zeros_like(self.bias_mean)
        return self.mean(x) + signs_out * self._convolve(x * signs_in, std, none) + bias.astype(x.dtype)

    def _convolve(self, x: FeatureMap, kernel: Float[Array, "3 3 _in _out"], bias: Float[Array, "_out"]) -> FeatureMap:
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=jnp.dtype(self.policy.dtype))
        return convolve(x, kernel) + bias[None, None, None, :]


def _image_noise(
    keys: Key[Array, "batch"], name: str, channels: int, dtype: DTypeLike
) -> Float[Array, "batch 1 1 channels"]:
    """Standard normal numbers, one for each channel of an image."""
    return jax.vmap(lambda key: normal(key, (1, 1, channels), dtype))(stream(keys, name))


def cell_noise(keys: Key[Array, "batch"], like: FeatureMap, branch: int) -> FeatureMap:
    """Standard normal noise, independent at every cell and channel; one stream per image and branch."""
    return jax.vmap(lambda key: normal(jax.random.fold_in(key, branch), like.shape[1:], like.dtype))(keys)


def dropout(x: FeatureMap, keys: NoiseKeys, branch: int, *, rate: float, mask: DropoutMask) -> FeatureMap:
    """Sets elements, or whole channels of an image, to zero with probability `rate` and scales the rest up.

    Gal and Ghahramani 2016. Elementwise masks are independent from cell to cell, channel masks hold all over an image.
    """
    per_image = keys.cells if mask == "element" else keys.masks
    shape = x.shape[1:] if mask == "element" else (1, 1, x.shape[-1])
    keep = jax.vmap(lambda key: bernoulli(jax.random.fold_in(key, branch), 1.0 - rate, shape))(per_image)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))


class BranchwiseConv(nn.Module):
    """1x1 convolution of all branches, upsampled and concatenated, computed before the upsampling.

    A 1x1 convolution commutes with interpolation, so each branch is convolved at its own size with its share of the
    kernel: the same sum for an eighth of the operations.
    """

    interpolation: Interpolation
    policy: Policy

    @nn.compact
    def __call__(self, branches: tuple[FeatureMap, ...]) -> FeatureMap:
        """Branches to one map of as many channels as they have together, at the finest branch's size."""
        channels = [x.shape[-1] for x in branches]
        total = sum(channels)
        kernel = self.param("kernel", he_fan_out, (1, 1, total, total))
        bias = self.param("bias", nn.initializers.zeros_init(), (total,))
        kernel, bias = nn.dtypes.promote_dtype(kernel, bias, dtype=jnp.dtype(self.policy.dtype))
        size, start, out = branches[0].shape[1:3], 0, bias[None, None, None, :]
        for x, count in zip(branches, channels, strict=True):
            share = kernel[0, 0, start : start + count]
            out = out + resize(jnp.einsum("bhwi,io->bhwo", x, share), size, self.interpolation)
            start += count
        return out


class SegmentationHead(nn.Module):
    """HRNetV2's head: branches to one logit for every pixel of the image."""

    final_kernel: int
    interpolation: Interpolation
    policy: Policy

    def setup(self) -> None:
        """Names here are those of the parameter tree."""
        self.mix = BranchwiseConv(self.interpolation, self.policy)
        self.norm = Norm(self.policy, relu=True)
        self.logit = self._last()

    def __call__(
        self, branches: tuple[FeatureMap, ...], size: tuple[Dimension, Dimension], train: bool
    ) -> Float[Array, "batch height width"]:
        """Logits of corrosion at `size` (height, width), float32."""
        x = self._folded(branches) if self.policy.folded else self.logit(self.activations(branches, train))
        return resize(x.astype(jnp.float32), size, self.interpolation)[..., 0]

    def activations(self, branches: tuple[FeatureMap, ...], train: bool) -> FeatureMap:
        """What the last layer sees of the branches, all at a quarter of the image's size."""
        x = self.mix(branches)
        return nn.relu(x) if self.policy.folded else self.norm(x, train)

    def _last(self, **options: Any) -> Conv:
        return Conv(1, self.final_kernel, self.policy, use_bias=True, kernel_init=nearly_zero, **options)

    def _folded(self, branches: tuple[FeatureMap, ...]) -> Float[Array, "batch h w 1"]:
        """Without batch norm; on a CPU block by block of rows where the sizes allow it."""
        params = self.variables["params"]
        mix = BranchwiseConv(self.interpolation, self.policy, parent=None)

        def whole(branches: tuple[FeatureMap, ...]) -> Float[Array, "batch h w 1"]:
            x = nn.relu(mix.apply({"params": params["mix"]}, branches))
            return self._last(parent=None).apply({"params": params["logit"]}, x)

        def by_rows(branches: tuple[FeatureMap, ...]) -> Float[Array, "batch h w 1"]:
            leaves = nn.dtypes.promote_dtype(
                params["mix"]["kernel"][0, 0],
                params["mix"]["bias"],
                params["logit"]["kernel"],
                params["logit"]["bias"],
                dtype=jnp.dtype(self.policy.dtype),
            )
            return row_blocks.mixed_logits(branches, *leaves, self.interpolation)

        if not row_blocks.fits(branches):
            return whole(branches)
        return jax.lax.platform_dependent(branches, cpu=by_rows, default=whole)


class AleatoricNetwork(nn.Module):
    """Small network of its own from the image to the log variance of its label."""

    policy: Policy

    @nn.compact
    def __call__(self, images: FeatureMap, train: bool) -> Float[Array, "batch height width"]:
        """Log variance at the image's size, float32, unbounded."""
        x = Stem(self.policy, name="stem")(images, train)
        x = ConvNorm(64, 1, self.policy, use_bias=True, name="unit")(x, train)
        x = Conv(1, 1, self.policy, use_bias=True, kernel_init=nearly_zero, name="log_variance")(x)
        return resize(x.astype(jnp.float32), images.shape[1:3], "bilinear")[..., 0]
