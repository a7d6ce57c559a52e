"""The maps of a model as one program of StableHLO, for CPU, CUDA and TPU, for images of any number and size.

The variables are an argument of it and no constants: the program stays small and is read at once, weights lie on the
device once, and FlatBuffers, in which `jax.export` writes, ends at 2 GiB, which a few large members exceed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import export
from jaxtyping import Array, Float, Int, UInt8, UInt32

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.inference.segmenter import Segmenter, maps_function
from spotrust_jax.models.hrnet import COARSEST_CELL

PLATFORMS = ("cpu", "cuda", "tpu")
KEY_IMPLEMENTATION = "threefry2x32"

FlatVariables = dict[str, Float[Array, "..."]]
MapArrays = dict[str, Float[Array | np.ndarray, "batch height width"]]


def flat_variables(segmenter: Segmenter) -> dict[str, Any]:
    """The variables that the program takes, batch norm folded in: name of each, leaves [members, ...]."""
    return {name: np.asarray(leaf) for name, leaf in flatten_dict(segmenter.folded, sep="/").items()}


def export_maps(segmenter: Segmenter) -> export.Exported:
    """The program of variables, images, keys and number of passes that gives the maps by their names."""
    leaves = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in flat_variables(segmenter).items()}
    cell = COARSEST_CELL
    batch, height, width = export.symbolic_shape(f"batch, {cell}*rows, {cell}*columns")
    images = jax.ShapeDtypeStruct((batch, height, width, 3), jnp.uint8)
    keys = jax.ShapeDtypeStruct((batch, 2), jnp.uint32)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    program = jax.jit(_plain_maps(segmenter.config))
    return export.export(program, platforms=PLATFORMS)(leaves, images, keys, count)


def _plain_maps(config: CheckpointConfig) -> Callable[..., MapArrays]:
    """`maps_function` of arrays and dictionaries alone, which any jax can name without the library."""
    maps = maps_function(config)

    def plain(
        variables: FlatVariables,
        images: UInt8[Array, "batch height width 3"],
        keys: UInt32[Array, "batch 2"],
        num_samples: Int[Array, ""],
    ) -> MapArrays:
        typed = jax.random.wrap_key_data(keys, impl=KEY_IMPLEMENTATION)
        found = maps(unflatten_dict(variables, sep="/"), images, typed, num_samples)
        found = found._replace(probability=config.calibration(found.probability))
        return found.named()

    return plain


def write_program(segmenter: Segmenter, program: Path, variables: Path) -> None:
    """Writes the serialised program and, as a .npz, its variables."""
    program.write_bytes(export_maps(segmenter).serialize())
    np.savez(variables, **flat_variables(segmenter))
