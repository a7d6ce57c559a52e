"""Convolution and batch norm as every part of the network uses them: padding, precision and replicas in one place."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from spotrust_jax.random_streams import normal


def he_fan_out(key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Float[Array, "..."]:
    """He's initialisation of a kernel [side, side, in, out] by what a cell feeds, as for the published HRNet."""
    fan_out = shape[0] * shape[1] * shape[3]
    return (2.0 / fan_out) ** 0.5 * normal(key, shape, dtype)


def nearly_zero(key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Float[Array, "..."]:
    """For the two output layers: every pixel undecided at the start, every log variance near 0."""
    return 0.01 * normal(key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Policy:
    """How layers compute: precision, and the devices over which batch norm averages.

    Attributes:
        dtype: "float32" or "bfloat16"; parameters and batch statistics stay float32.
        axis_name: mapped axis over which batch statistics are averaged, or None.
        axis_index_groups: groups of indices of that axis that average among themselves, or None for all.
    """

    dtype: str = "float32"
    axis_name: str | None = None
    axis_index_groups: tuple[tuple[int, ...], ...] | None = None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "side side channel out"], stride: int = 1
) -> Float[Array, "batch h w out"]:
    """Convolution padded by half the kernel's side on all sides; a stride of two halves the size, rounding up.

    Its gradients are written out, with the transpositions that XLA makes only outside of loops and conditionals: in a
    loop over members XLA's own gradients are ten times slower on a CPU.
    """
    if kernel.shape[0] == 1 and stride == 1:
        return jnp.einsum("bhwi,io->bhwo", x, kernel[0, 0])
    padding = kernel.shape[0] // 2
    # 'SAME' would pad even sizes on one side only when the stride is two.
    return _convolution(x, kernel, [(padding, padding)] * 2, window_strides=(stride, stride))


def _convolution(x: Array, kernel: Array, padding: list[tuple[int, int]], **options: tuple[int, int]) -> Array:
    options = {"window_strides": (1, 1), **options}
    return jax.lax.conv_general_dilated(
        x, kernel, padding=padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def _convolve_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, stride), (x, kernel)


def _convolve_backward(stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    side = kernel.shape[0]
    if side == 1 and stride == 1:
        by_x = jnp.einsum("bhwo,io->bhwi", gradient, kernel[0, 0])
        return by_x, jnp.einsum("bhwi,bhwo->io", x, gradient)[None, None]
    low = side // 2
    # Rows or columns of x that the kernel's last place does not reach when the stride leaves a remainder.
    rests = [size - (stride * (steps - 1) + 1) for size, steps in zip(x.shape[1:3], gradient.shape[1:3], strict=True)]
    dilation = (stride, stride)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    by_x = _convolution(gradient, flipped, [(side - 1 - low, rest + low) for rest in rests], lhs_dilation=dilation)
    # Channels as batch, batch as channels: one large kernel, the gradient, slides over the few places of the small one.
    by_kernel = _convolution(
        x.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        [(low, side - 1 - low - rest) for rest in rests],
        rhs_dilation=dilation,
    )
    return by_x, by_kernel.transpose(1, 2, 0, 3)


convolve.defvjp(_convolve_forward, _convolve_backward)


class Conv(nn.Module):
    """Square convolution with PyTorch's symmetric padding of half the kernel."""

    channels: int
    kernel: int
    policy: Policy
    stride: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer = he_fan_out

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch h w out"]:
        """Convolves; a stride of two halves the size, rounding up."""
        kernel = self.param("kernel", self.kernel_init, (self.kernel, self.kernel, x.shape[-1], self.channels))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=jnp.dtype(self.policy.dtype))
        y = convolve(x, kernel, self.stride)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        return y + bias.astype(y.dtype)[None, None, None, :]


class Norm(nn.Module):
    """Batch norm; statistics of the batch are averaged over the policy's replicas."""

    policy: Policy

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channel"], train: bool
    ) -> Float[Array, "batch height width channel"]:
        """Normalises by the batch and updates the running statistics when `train`, else by the running statistics."""
        groups = self.policy.axis_index_groups
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            dtype=jnp.dtype(self.policy.dtype),
            axis_name=self.policy.axis_name,
            axis_index_groups=groups and [list(group) for group in groups],
        )
        nn.share_scope(self, norm)
        return norm(x)


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm, then ReLU unless told otherwise."""

    channels: int
    kernel: int
    policy: Policy
    stride: int = 1
    use_bias: bool = False
    relu: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channel"], train: bool) -> Float[Array, "batch h w out"]:
        """Applies the three in order."""
        x = Conv(self.channels, self.kernel, self.policy, self.stride, self.use_bias, name="conv")(x)
        x = Norm(self.policy, name="norm")(x, train)
        return nn.relu(x) if self.relu else x
