"""A network's variables as safetensors files: half precision on disk, float32 in memory.

checkpoints.py adds the configuration; io/weight_files.py reads weight files of other programs.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.io.atomic_files import atomic_file
from spotrust_jax.io.weight_files import read_tensors
from spotrust_jax.models.mismatch import differences
from spotrust_jax.models.segmenter import Variables

# Entries of a file's metadata: the network whose variables it holds, and a hash of their names, shapes and values.
_NETWORK, _CONTENTS = "network", "contents"

# Settings that say which network it is; the rest of a configuration may change its form from version to version.
_IDENTITY = ("variant", "preset", "width", "final_kernel")


def write_variables(path: Path, variables: Variables, model: ModelConfig) -> None:
    """Writes variables [members, ...] in half precision, whole or not at all; a file at `path` is replaced.

    Raises:
        InputError: where a value is not finite, or too large for half precision.
    """
    tensors = {name: _half(name, np.asarray(leaf)) for name, leaf in flatten_dict(variables, sep="/").items()}
    metadata = {_NETWORK: json.dumps(_identity(model)), _CONTENTS: _digest(tensors)}
    with atomic_file(path) as partial:
        # save_file would leave a file that nobody else on the machine may read.
        partial.write_bytes(save(tensors, metadata=metadata))


def read_variables(path: Path, model: ModelConfig) -> Variables:
    """Variables [members, ...], float32, of the network `model`.

    Raises:
        InputError: where the file is damaged or holds the variables of another network.
    """
    found = read_tensors(path)
    if _CONTENTS in found.metadata and found.metadata[_CONTENTS] != _digest(found.tensors):
        raise InputError(f"{path} is damaged (its contents do not have the hash that it names): get it again")
    # The shapes of a network take seconds, so a sound file that names this very one is believed.
    believed = _CONTENTS in found.metadata and _named_network(found.metadata) == _identity(model)
    if wrong := "" if believed else differences(found.tensors, model):
        described = f"{model.variant}, {model.preset}"
        raise InputError(f"{path} holds another network than its config.json describes ({described}): {wrong}")
    return unflatten_dict(found.in_float32, sep="/")


def _identity(model: ModelConfig) -> dict[str, Any]:
    return {name: getattr(model, name) for name in _IDENTITY}


def _named_network(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The network that a file names, empty where it names none."""
    with contextlib.suppress(ValueError, RecursionError):
        named = json.loads(metadata[_NETWORK]) if _NETWORK in metadata else None
        return {name: named.get(name) for name in _IDENTITY} if isinstance(named, dict) else {}
    return {}


def _half(name: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = np.ascontiguousarray(values, np.float16)
    if not np.isfinite(half).all():
        raise InputError(
            f"variable {name} has values of up to {np.abs(values).max():g}, half precision holds 65504 at most: train "
            f"again, or keep the Orbax checkpoint"
        )
    return half


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(tensors.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
