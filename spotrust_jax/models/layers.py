"""Convolution and batch norm as every part of the network uses them: padding, precision and replicas in one place."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Float

from spotrust_jax.models.initialization import Declaration, constant, he_fan_out
from spotrust_jax.models.precision import wide


@dataclasses.dataclass(frozen=True)
class Policy:
    """How layers compute: precision, and the devices over which batch norm averages.

    Attributes:
        dtype: "float32" or "bfloat16"; parameters and batch statistics stay float32.
        axis_name: mapped axis over which batch statistics are averaged, or None.
        axis_index_groups: groups of indices of that axis that average among themselves, or None for all.
        frozen_norm: batch norm uses its running statistics in training too, and leaves them as they are.
        rematerialize: residual blocks and exchanges are computed again for their gradients instead of being kept.
        folded: for inference alone: there is no batch norm, the convolutions have it in their kernels and biases.
    """

    dtype: str = "float32"
    axis_name: str | None = None
    axis_index_groups: tuple[tuple[int, ...], ...] | None = None
    frozen_norm: bool = False
    rematerialize: bool = False
    folded: bool = False


def convolve(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "side side channel out"], stride: int = 1
) -> Float[Array, "batch h w out"]:
    """Convolution padded by half the kernel's side on all sides; a stride of two halves the size, rounding up.

    On a CPU its gradients are written out, as convolutions in the layout of the forward pass and as matrix products:
    XLA's own are up to three times slower, and ten times inside of loops and conditionals.
    """
    return _own_gradient(x, kernel, stride)


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    if kernel.shape[0] == 1 and stride == 1:
        return jnp.einsum("bhwi,io->bhwo", x, kernel[0, 0])
    padding = kernel.shape[0] // 2
    # 'SAME' would pad even sizes on one side only when the stride is two.
    return _convolution(x, kernel, [(padding, padding)] * 2, window_strides=(stride, stride))


def _convolution(x: Array, kernel: Array, padding: list[tuple[int, int]], **options: Any) -> Array:
    options = {"window_strides": (1, 1), **options}
    return jax.lax.conv_general_dilated(
        x, kernel, padding=padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def _convolve_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _own_gradient(x, kernel, stride), (x, kernel)


def _convolve_backward(stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    def by_hand(x: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        return _input_gradient(x, kernel, gradient, stride), _kernel_gradient(x, kernel, gradient, stride)

    def automatic(x: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda x, kernel: _convolve(x, kernel, stride), x, kernel)[1](gradient)

    return jax.lax.platform_dependent(*saved, gradient, cpu=by_hand, default=automatic)


def _input_gradient(x: Array, kernel: Array, gradient: Array, stride: int) -> Array:
    side = kernel.shape[0]
    if side == 1 and stride == 1:
        return jnp.einsum("bhwo,io->bhwi", gradient, kernel[0, 0])
    low = side // 2
    # Rows or columns of x that the kernel's last place does not reach when the stride leaves a remainder.
    rests = [size - (stride * (steps - 1) + 1) for size, steps in zip(x.shape[1:3], gradient.shape[1:3], strict=True)]
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    padding = [(side - 1 - low, rest + low) for rest in rests]
    return _convolution(gradient, flipped, padding, lhs_dilation=(stride, stride))


def _kernel_gradient(x: Array, kernel: Array, gradient: Array, stride: int) -> Array:
    """For each place of the kernel, the product of what x has there with the gradient, summed over all cells."""
    side, channels = kernel.shape[0], kernel.shape[2]
    padding = side // 2
    # Channels first: a place's cells are then rows of the left factor, which is how products are computed fastest.
    padded = jnp.pad(x.transpose(3, 0, 1, 2), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = (stride * (steps - 1) + 1 for steps in gradient.shape[1:3])
    cells = gradient.reshape(-1, gradient.shape[3])
    products = [
        padded[:, :, row : row + height : stride, column : column + width : stride].reshape(channels, -1) @ cells
        for row in range(side)
        for column in range(side)
    ]
    return jnp.stack(products).reshape(kernel.shape)


_own_gradient = jax.custom_vjp(_convolve, nondiff_argnums=(2,))
_own_gradient.defvjp(_convolve_forward, _convolve_backward)


class Conv(nn.Module):
    """Square convolution with PyTorch's symmetric padding of half the kernel."""

    channels: int
    kernel: int
    policy: Policy
    stride: int = 1
    use_bias: bool = False
    kernel_init: Declaration = he_fan_out

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Convolves; a stride of two halves the size, rounding up."""
        kernel = self.param("kernel", self.kernel_init, (self.kernel, self.kernel, x.shape[-1], self.channels))
        x, kernel = promote_dtype(x, kernel, dtype=jnp.dtype(self.policy.dtype))
        y = convolve(x, kernel, self.stride)
        if not self.use_bias:
            return y
        bias = self.param("bias", constant(0.0), (self.channels,))
        return y + bias.astype(y.dtype)[None, None, None, :]


Moments = tuple[Float[Array, "channel"], Float[Array, "channel"]]

# Of batch norm, as in the reference: the running statistics keep this share, and variances are raised by that much.
_MOMENTUM, EPSILON = 0.9, 1e-5


def normalize_batch(
    x: Float[Array, "batch height width channel"],
    scale: Float[Array, "channel"],
    bias: Float[Array, "channel"],
    relu: bool,
    policy: Policy,
) -> tuple[Float[Array, "batch height width channel"], Moments]:
    """Batch norm by the batch's own statistics, then ReLU if `relu`; and the mean and biased variance, in float32.

    The gradient is written out: only x is kept for it, not what comes between, and no gradient goes through the
    statistics that are returned.
    """
    return _lean_gradient(x, scale, bias, relu, policy)


def _normalize(x: Array, scale: Array, bias: Array, relu: bool, policy: Policy) -> tuple[Array, Moments]:
    return _normalize_forward(x, scale, bias, relu, policy)[0]


def _normalize_forward(
    x: Array, scale: Array, bias: Array, relu: bool, policy: Policy
) -> tuple[tuple[Array, Moments], tuple]:
    mean, variance = _batch_moments(wide(x), policy)
    inverse = jax.lax.rsqrt(variance + EPSILON)
    y = (wide(x) - _over_cells(mean)) * _over_cells(inverse * scale) + _over_cells(bias)
    y = (nn.relu(y) if relu else y).astype(policy.dtype)
    return (y, (mean, variance)), (x, scale, bias, mean, inverse)


def _normalize_backward(relu: bool, policy: Policy, saved: tuple, gradients: tuple) -> tuple[Array, Array, Array]:
    x, scale, bias, mean, inverse = saved
    gradient = wide(gradients[0])
    normalized = (wide(x) - _over_cells(mean)) * _over_cells(inverse)
    if relu:
        on = normalized * _over_cells(scale) + _over_cells(bias) > 0
        gradient = jnp.where(on, gradient, 0.0)
    by_bias, by_scale = jnp.sum(gradient, _CELLS), jnp.sum(gradient * normalized, _CELLS)
    cells = x.size // x.shape[-1]
    shift, slope = _average(jnp.stack((by_bias, by_scale)) / cells, policy)
    by_x = _over_cells(inverse * scale) * (gradient - _over_cells(shift) - normalized * _over_cells(slope))
    return by_x.astype(x.dtype), by_scale, by_bias


_lean_gradient = jax.custom_vjp(_normalize, nondiff_argnums=(3, 4))
_lean_gradient.defvjp(_normalize_forward, _normalize_backward)

_CELLS = (0, 1, 2)


def _batch_moments(x: Array, policy: Policy) -> Moments:
    """Mean and variance over all cells and replicas, by differences from one cell: one pass, without cancellation."""
    pivot = x[0, 0, 0]
    difference = x - _over_cells(pivot)
    shift = jnp.mean(difference, _CELLS)
    variance = jnp.mean(jnp.square(difference), _CELLS) - jnp.square(shift)
    own = shift + pivot
    mean = _average(own, policy)
    return mean, _average(jnp.maximum(variance, 0.0) + jnp.square(own - mean), policy)


def _average(values: Array, policy: Policy) -> Array:
    """Mean over the policy's replicas."""
    if policy.axis_name is None:
        return values
    return jax.lax.pmean(values, policy.axis_name, axis_index_groups=policy.axis_index_groups)


def _over_cells(channels: Array) -> Array:
    return channels[None, None, None, :]


class Norm(nn.Module):
    """Batch norm, and ReLU if `relu` is set; statistics of the batch are averaged over the policy's replicas."""

    policy: Policy
    relu: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channel"], train: bool
    ) -> Float[Array, "batch height width channel"]:
        """Normalises by the batch when `train`, and updates the running statistics; else, or if frozen, by these."""
        shape = x.shape[-1:]
        scale = self.param("scale", constant(1.0), shape)
        bias = self.param("bias", constant(0.0), shape)
        running_mean = self.variable("batch_stats", "mean", constant(0.0), None, shape)
        running_variance = self.variable("batch_stats", "var", constant(1.0), None, shape)
        if not train or self.policy.frozen_norm:
            multiplier = jax.lax.rsqrt(running_variance.value + EPSILON) * scale
            y = (wide(x) - _over_cells(running_mean.value)) * _over_cells(multiplier) + _over_cells(bias)
            return (nn.relu(y) if self.relu else y).astype(self.policy.dtype)
        y, (mean, variance) = normalize_batch(x, scale, bias, self.relu, self.policy)
        if not self.is_initializing():
            running_mean.value = _MOMENTUM * running_mean.value + (1 - _MOMENTUM) * mean
            running_variance.value = _MOMENTUM * running_variance.value + (1 - _MOMENTUM) * variance
        return y


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm, then ReLU by default."""

    channels: int
    kernel: int
    policy: Policy
    stride: int = 1
    use_bias: bool = False
    relu: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"], train: bool) -> Float[Array, "batch h w out"]:
        """Applies the three in order."""
        bias = self.use_bias or self.policy.folded
        x = Conv(self.channels, self.kernel, self.policy, self.stride, bias, name="conv")(x)
        if self.policy.folded:
            return nn.relu(x) if self.relu else x
        return Norm(self.policy, self.relu, name="norm")(x, train)
