"""What follows the backbone: the segmentation head and the aleatoric network."""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from spotrust_jax.models.fast import row_blocks
from spotrust_jax.models.hrnet import FeatureMap, Stem
from spotrust_jax.models.initialization import constant, he_fan_out, nearly_zero
from spotrust_jax.models.layers import Conv, ConvNorm, Norm, Policy
from spotrust_jax.models.resize import Interpolation, resize
from spotrust_jax.typing import Dimension


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
        bias = self.param("bias", constant(0.0), (total,))
        kernel, bias = promote_dtype(kernel, bias, dtype=jnp.dtype(self.policy.dtype))
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
        self, branches: tuple[FeatureMap, ...], size: tuple[Dimension, ...], train: bool
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
            x = nn.relu(cast(Array, mix.apply({"params": params["mix"]}, branches)))
            return cast(Array, self._last(parent=None).apply({"params": params["logit"]}, x))

        def by_rows(branches: tuple[FeatureMap, ...]) -> Float[Array, "batch h w 1"]:
            kernel, bias, last, last_bias = promote_dtype(
                params["mix"]["kernel"][0, 0],
                params["mix"]["bias"],
                params["logit"]["kernel"],
                params["logit"]["bias"],
                dtype=jnp.dtype(self.policy.dtype),
            )
            return row_blocks.mixed_logits(branches, kernel, bias, last, last_bias, self.interpolation)

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
