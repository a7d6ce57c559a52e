"""Safetensors files as numpy arrays by name. What the names mean is not known here."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors

from spotrust_jax.errors import InputError


class TensorFile(NamedTuple):
    """Contents of a safetensors file: arrays as they are, and texts, both by name."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]

    @property
    def in_float32(self) -> dict[str, np.ndarray]:
        """The arrays, floating point ones in single precision."""
        # bfloat16 arrays are of a type that numpy does not count among its floating ones.
        return {name: a if a.dtype.kind in "biu" else a.astype(np.float32) for name, a in self.tensors.items()}


def read_tensors(path: Path) -> TensorFile:
    """Reads a safetensors file.

    Raises:
        InputError: where it is damaged, cannot be opened, or holds no tensors.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            found = TensorFile({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {})  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:80]}"
        raise InputError(f"{path} is no safetensors file, or a damaged one ({reason}): get it again") from error
    if not found.tensors:
        raise InputError(f"{path} holds no tensors: give a file of weights")
    return found
