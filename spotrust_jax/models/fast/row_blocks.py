"""The head in inference, eight rows at a time, so that its widest map never leaves a CPU's cache.

All branches together have up to 720 channels at a quarter of the image's size, 47 MB for 512 x 512 pixels, of which
only one number a cell is needed in the end. Here each block of rows is upsampled, rectified and summed up before the
next one is begun. Cells are kept apart by their place in the block until then: the weights of an interpolation depend
on that place alone, so that it becomes a sum of slices of constant weights.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from spotrust_jax.models.precision import wide
from spotrust_jax.models.resize import Interpolation, phase_weights

# Cells of the finest branch along one of the coarsest: the height of a block.
_BLOCK = 8

Branch = Float[Array, "_height _width _channel"]


def fits(branches: tuple[Float[Array, "batch _height _width _channel"], ...]) -> bool:
    """Whether each branch is half as large as the one before, as where the image's sides are multiples of 32."""
    sizes = [[side * 2**index for side in x.shape[1:3]] for index, x in enumerate(branches)]
    return all(size == sizes[0] for size in sizes) and all(side % _BLOCK == 0 for side in sizes[0])


def mixed_logits(
    branches: tuple[Float[Array, "batch _height _width _channel"], ...],
    kernel: Float[Array, "total total"],
    bias: Float[Array, "total"],
    last_kernel: Float[Array, "side side total 1"],
    last_bias: Float[Array, "1"],
    interpolation: Interpolation,
) -> Float[Array, "batch height width 1"]:
    """Logits at a quarter of the image's size, image by image.

    Args:
        branches: four, finest first, for which `fits` holds.
        kernel: of the 1x1 convolution of all branches, batch norm folded into it; `bias` as well.
        last_kernel: of the convolution to one channel, zeros beyond the edges; `last_bias` as well.
        interpolation: of the branches to the finest one's size.
    """
    side, total = last_kernel.shape[0], last_kernel.shape[2]
    # What each cell gives to each of its neighbours; then every cell takes its own from these.
    last = last_kernel[..., 0].transpose(2, 0, 1).reshape(total, side * side)
    given = jax.lax.map(lambda image: _of_image(image, kernel, bias, last, interpolation), branches)
    height, width, reach = *given.shape[1:3], side // 2
    padded = jnp.pad(given, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    places = [(row, column) for row in range(side) for column in range(side)]
    return last_bias[None, None, None] + sum(
        padded[:, row : row + height, column : column + width, index, None]
        for index, (row, column) in enumerate(places)
    )


def _of_image(
    branches: tuple[Branch, ...],
    kernel: Float[Array, "total total"],
    bias: Float[Array, "total"],
    last: Float[Array, "total places"],
    interpolation: Interpolation,
) -> Float[Array, "height width places"]:
    """Branches of one image upsampled and concatenated, times `kernel` plus `bias`, rectified, times `last`."""
    shares = jnp.split(kernel, np.cumsum([x.shape[-1] for x in branches])[:-1])
    height, width, channels = branches[0].shape
    rows, cells = height // _BLOCK, width // _BLOCK
    # [block, place in its columns, place in its rows, cell, channel]
    finest = branches[0].reshape(rows, _BLOCK, cells, _BLOCK, channels).transpose(0, 3, 1, 2, 4)
    coarser = [
        _Coarser(x, share, 2**index, interpolation)
        for index, (x, share) in enumerate(zip(branches[1:], shares[1:], strict=True), start=1)
    ]

    def block(inputs: tuple[Array, Array]) -> Float[Array, "column row cell places"]:
        row, columns = inputs
        upsampled = [branch.rows(row) for branch in coarser]
        return jnp.stack([of_column(place, columns[place], upsampled) for place in range(_BLOCK)])

    def of_column(place: int, own: Array, upsampled: list[Array]) -> Float[Array, "row cell places"]:
        y = wide(own @ shares[0]) + bias[None, None]
        for branch, x in zip(coarser, upsampled, strict=True):
            y = y + branch.column(x, place)
        return jax.nn.relu(y).astype(last.dtype) @ last

    out = jax.lax.map(block, (jnp.arange(rows), finest))
    return out.transpose(0, 2, 3, 1, 4).reshape(height, width, last.shape[-1])


class _Coarser:
    """A coarser branch times its share of the kernel, ready to be upsampled block by block.

    `product` is [rows, place of the column in a block, cell, channel], with edges repeated as far as weights reach.
    """

    def __init__(self, x: Branch, share: Float[Array, "_channel total"], factor: int, interpolation: Interpolation):
        self._weights, self._factor = phase_weights(factor, interpolation), factor
        self._reach, self._places = self._weights.shape[1] // 2, _BLOCK // factor
        self._margin = -(-self._reach // self._places)  # in cells
        height, width, channels = x.shape
        edge = self._margin * self._places
        padded = jnp.pad(x, ((0, 0), (edge, edge), (0, 0)), mode="edge")
        places = padded.reshape(height, width // self._places + 2 * self._margin, self._places, channels).swapaxes(1, 2)
        beyond = ((self._reach, self._reach), (0, 0), (0, 0), (0, 0))
        self._product = jnp.pad(wide(places @ share), beyond, mode="edge")

    def rows(self, block: Array) -> Float[Array, "row place _cell total"]:
        """The rows of a block, upsampled; columns are not yet."""
        count = self._places + 2 * self._reach
        part = jax.lax.dynamic_slice_in_dim(self._product, block * self._places, count)
        weights = np.zeros((_BLOCK, count))
        for row in range(_BLOCK):
            first = row // self._factor
            weights[row, first : first + self._weights.shape[1]] = self._weights[row % self._factor]
        # The weights are few, the rest is one long row: a matrix product.
        return (jnp.asarray(weights, part.dtype) @ part.reshape(count, -1)).reshape(_BLOCK, *part.shape[1:])

    def column(self, x: Float[Array, "row place _cell total"], place: int) -> Float[Array, "row cell total"]:
        """One column of every cell, upsampled, from what `rows` gives."""
        cells, parts = x.shape[2] - 2 * self._margin, []
        for offset, weight in enumerate(self._weights[place % self._factor], start=-self._reach):
            if weight:
                cell, source = divmod(place // self._factor + offset, self._places)
                start = cell + self._margin
                parts.append(float(weight) * x[:, source, start : start + cells])
        return functools.reduce(jnp.add, parts)
