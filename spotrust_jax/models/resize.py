"""Interpolation of feature maps with PyTorch's conventions (half-pixel centres).

`jax.image.resize` has no bicubic kernel with a = -0.75, which the reference's weights were trained with. Sizes that are
multiplied by a whole number are interpolated phase by phase, all others by two constant matrices.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spotrust_jax.models.precision import wide
from spotrust_jax.typing import Dimension

Interpolation = Literal["bilinear", "bicubic"]

_KEYS_A = -0.75


def resize(
    images: Float[Array, "batch height width channel"], size: tuple[Dimension, ...], method: Interpolation
) -> Float[Array, "batch new_height new_width channel"]:
    """Interpolates to `size` (height, width) as torch's `interpolate(align_corners=False)`, without antialiasing."""
    _, height, width, _ = images.shape
    if (height, width) == size:
        return images
    if size[0] % height == 0 and size[1] % width == 0:
        # Width first, because its phases lie closest together in memory.
        return _upsample(_upsample(images, size[1] // width, 2, method), size[0] // height, 1, method)
    rows = jnp.asarray(resize_matrix(height, size[0], method), images.dtype)
    columns = jnp.asarray(resize_matrix(width, size[1], method), images.dtype)
    images = jnp.einsum("Ww,bhwc->bhWc", columns, images)
    return jnp.einsum("Hh,bhwc->bHwc", rows, images)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _upsample(images: Array, factor: int, axis: int, method: Interpolation) -> Array:
    """Each cell becomes `factor` along one axis: phase p of every cell has the same weights on its neighbours.

    The gradient is written out, because the automatic one of shifted slices is several times slower on a CPU.
    """
    if factor == 1:
        return images
    weights, size = phase_weights(factor, method), images.shape[axis]
    reach = weights.shape[1] // 2
    padded = jnp.pad(wide(images), _along(axis, reach, reach), mode="edge")
    shifted = [jax.lax.slice_in_dim(padded, start, start + size, axis=axis) for start in range(2 * reach + 1)]
    phases = jnp.stack([_weighted_sum(row, shifted) for row in weights], axis + 1)
    shape = (*images.shape[:axis], size * factor, *images.shape[axis + 1 :])
    return phases.reshape(shape).astype(images.dtype)


def _upsample_forward(images: Array, factor: int, axis: int, method: Interpolation) -> tuple[Array, None]:
    return _upsample(images, factor, axis, method), None


def _upsample_backward(factor: int, axis: int, method: Interpolation, _: None, gradient: Array) -> tuple[Array]:
    if factor == 1:
        return (gradient,)
    weights, size = phase_weights(factor, method), gradient.shape[axis] // factor
    reach = weights.shape[1] // 2
    shape = (*gradient.shape[:axis], size, factor, *gradient.shape[axis + 1 :])
    split = wide(gradient).reshape(shape)
    phases = [jax.lax.index_in_dim(split, phase, axis + 1, keepdims=False) for phase in range(factor)]
    padded = functools.reduce(
        jnp.add,
        (
            jnp.pad(_weighted_sum(column, phases), _along(axis, start, 2 * reach - start))
            for start, column in enumerate(weights.T)
        ),
    )
    # What falls beyond the edges belongs to the outermost cells, whose values were repeated there.
    inner, before, after = (
        jax.lax.slice_in_dim(padded, *part, axis=axis)
        for part in ((reach, reach + size), (0, reach), (reach + size, size + 2 * reach))
    )
    first = jnp.pad(before.sum(axis, keepdims=True), _along(axis, 0, size - 1))
    last = jnp.pad(after.sum(axis, keepdims=True), _along(axis, size - 1, 0))
    return ((inner + first + last).astype(gradient.dtype),)


_upsample.defvjp(_upsample_forward, _upsample_backward)


def _weighted_sum(weights: np.ndarray, arrays: list[Array]) -> Array:
    parts = (float(weight) * array for weight, array in zip(weights, arrays, strict=True) if weight)
    return functools.reduce(jnp.add, parts)


def _along(axis: int, before: int, after: int) -> list[tuple[int, int]]:
    """Padding of one axis of four."""
    return [(before, after) if index == axis else (0, 0) for index in range(4)]


def phase_weights(factor: int, method: Interpolation) -> Float[np.ndarray, "phase neighbour"]:
    """Weights of a cell's neighbours, from `reach` before it to `reach` behind it, in each of its phases."""
    reach = 1 if method == "bilinear" else 2
    # The middle cell of a row that is long enough not to feel its ends.
    middle = 2 * reach
    matrix = resize_matrix(2 * middle + 1, (2 * middle + 1) * factor, method)
    return matrix[middle * factor : (middle + 1) * factor, middle - reach : middle + reach + 1]


@functools.lru_cache(maxsize=512)
def resize_matrix(source: int, target: int, method: Interpolation) -> Float[np.ndarray, "target source"]:
    """Weights of every source cell in every target cell; each row sums to one."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    if method == "bilinear":
        centres = np.maximum(centres, 0.0)
    first = np.floor(centres).astype(int)
    fraction = centres - first
    matrix = np.zeros((target, source))
    for offset, weights in _taps(fraction, method).items():
        cells = np.clip(first + offset, 0, source - 1)
        np.add.at(matrix, (np.arange(target), cells), weights)
    return matrix


def _taps(fraction: np.ndarray, method: Interpolation) -> dict[int, np.ndarray]:
    """Weight of the neighbour at each offset from the cell below the centre, `fraction` in [0, 1) above it."""
    if method == "bilinear":
        return {0: 1.0 - fraction, 1: fraction}
    return {offset: _keys_kernel(np.abs(fraction - offset)) for offset in (-1, 0, 1, 2)}


def _keys_kernel(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (1981) with a = -0.75."""
    near = ((_KEYS_A + 2) * distance - (_KEYS_A + 3)) * distance**2 + 1
    far = ((_KEYS_A * distance - 5 * _KEYS_A) * distance + 8 * _KEYS_A) * distance - 4 * _KEYS_A
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
