"""Interpolation of feature maps as two constant matrices, with PyTorch's conventions (half-pixel centres).

`jax.image.resize` has no bicubic kernel with a = -0.75, which the reference's weights were trained with.
"""

import functools
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Interpolation = Literal["bilinear", "bicubic"]

_KEYS_A = -0.75


def resize(
    images: Float[Array, "batch height width channel"], size: tuple[int, int], method: Interpolation
) -> Float[Array, "batch new_height new_width channel"]:
    """Interpolates to `size` (height, width) as torch's `interpolate(align_corners=False)`, without antialiasing."""
    _, height, width, _ = images.shape
    if (height, width) == size:
        return images
    rows = jnp.asarray(resize_matrix(height, size[0], method), images.dtype)
    columns = jnp.asarray(resize_matrix(width, size[1], method), images.dtype)
    images = jnp.einsum("Ww,bhwc->bhWc", columns, images)
    return jnp.einsum("Hh,bhwc->bHwc", rows, images)


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
