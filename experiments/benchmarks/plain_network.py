"""HRNetV2 as one would write it with Flax's own layers and automatic gradients: the baseline of the benchmarks.

Deterministic, with the same layers and sizes as `models/`, and none of its names or its care for speed.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from spotrust_jax.models.presets import Architecture

FeatureMap = Float[Array, "_batch _height _width _channel"]


class _ConvNorm(nn.Module):
    train: bool
    channels: int
    kernel: int
    stride: int = 1
    use_bias: bool = False
    relu: bool = True

    @nn.compact
    def __call__(self, x: FeatureMap) -> FeatureMap:
        size, padding = (self.kernel, self.kernel), self.kernel // 2
        x = nn.Conv(self.channels, size, self.stride, padding=padding, use_bias=self.use_bias)(x)
        x = nn.BatchNorm(use_running_average=not self.train, momentum=0.9)(x)
        return nn.relu(x) if self.relu else x


def _upsampled(x: FeatureMap, like: FeatureMap) -> FeatureMap:
    return jax.image.resize(x, (*like.shape[:3], x.shape[3]), "bilinear")


class _Stem(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x: FeatureMap) -> FeatureMap:
        return _ConvNorm(self.train, 64, 3, 2)(_ConvNorm(self.train, 64, 3, 2)(x))


class _Bottleneck(nn.Module):
    train: bool
    channels: int

    @nn.compact
    def __call__(self, x: FeatureMap) -> FeatureMap:
        out = 4 * self.channels
        y = _ConvNorm(self.train, self.channels, 1)(x)
        y = _ConvNorm(self.train, self.channels, 3)(y)
        y = _ConvNorm(self.train, out, 1, relu=False)(y)
        return nn.relu(y + (x if x.shape[-1] == out else _ConvNorm(self.train, out, 1, relu=False)(x)))


class _Basic(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x: FeatureMap) -> FeatureMap:
        channels = x.shape[-1]
        return nn.relu(x + _ConvNorm(self.train, channels, 3, relu=False)(_ConvNorm(self.train, channels, 3)(x)))


class _Exchange(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, branches: list[FeatureMap]) -> list[FeatureMap]:
        places = range(len(branches))
        return [nn.relu(sum(self._brought(branches, source, target) for source in places)) for target in places]

    def _brought(self, branches: list[FeatureMap], source: int, target: int) -> FeatureMap:
        x, like = branches[source], branches[target]
        if source > target:
            return _upsampled(_ConvNorm(self.train, like.shape[-1], 1, relu=False)(x), like)
        for step in range(source, target):
            last = step == target - 1
            x = _ConvNorm(self.train, like.shape[-1] if last else x.shape[-1], 3, 2, relu=not last)(x)
        return x


class PlainNetwork(nn.Module):
    """Images to logits and log variance; batch norm goes by the batch where `train`, else by its running statistics."""

    architecture: Architecture
    train: bool = True

    @nn.compact
    def __call__(self, images: FeatureMap) -> tuple[Float[Array, "_b _h _w"], Float[Array, "_b _h _w"]]:
        """Normalised images [B, H, W, 3] to two maps at their size."""
        x = _Stem(self.train)(images)
        for _ in range(self.architecture.stage1_blocks):
            x = _Bottleneck(self.train, self.architecture.stage1_channels)(x)
        branches = [x]
        for stage, modules in zip((2, 3, 4), self.architecture.modules, strict=True):
            channels = self.architecture.branch_channels(stage)
            new = _ConvNorm(self.train, channels[-1], 3, 2)(branches[-1])
            pairs = zip(branches, channels[:-1], strict=True)
            branches = [x if x.shape[-1] == count else _ConvNorm(self.train, count, 3)(x) for x, count in pairs] + [new]
            for _ in range(modules):
                branches = _Exchange(self.train)([self._blocks(x) for x in branches])
        x = jnp.concatenate([_upsampled(x, branches[0]) for x in branches], axis=-1)
        x = _ConvNorm(self.train, x.shape[-1], 1, use_bias=True)(x)
        logits = _upsampled(nn.Conv(1, (1, 1))(x), images)
        log_variance = nn.Conv(1, (1, 1))(_ConvNorm(self.train, 64, 1, use_bias=True)(_Stem(self.train)(images)))
        return logits[..., 0], _upsampled(log_variance, images)[..., 0]

    def _blocks(self, x: FeatureMap) -> FeatureMap:
        for _ in range(self.architecture.blocks):
            x = _Basic(self.train)(x)
        return x
