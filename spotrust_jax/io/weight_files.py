"""Weight files, safetensors and PyTorch's, as numpy arrays by name; convert/ maps the names to a network.

PyTorch files are pickles, and a pickle can run any code: tensors, containers and numpy scalars are read, nothing else.
"""

import glob
import os
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from spotrust_jax.errors import InputError

# Entries of a training checkpoint that hold the state dict.
_STATE_ENTRIES = ("state_dict", "model_state_dict", "model_state", "model")
_INSTALL = 'pip install "spotrust-jax[convert]"'
_GLOB = re.compile(r"[*?\[]")


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


class WeightFile(NamedTuple):
    """Contents of a weight file.

    Attributes:
        tensors: arrays by name; floating point ones are float32.
        ignored: names of what stands beside them, such as the optimiser's state.
    """

    tensors: dict[str, np.ndarray]
    ignored: list[str]


def list_weight_files(sources: Sequence[str]) -> list[Path]:
    """Files that the sources name, in their order; a source with `*`, `?` or `[` is a glob, sorted by name.

    Raises:
        InputError: for no source at all, or a glob that matches nothing.
    """
    if not sources:
        raise InputError("--source names no file: give one weight file, several separated by commas, or a glob")
    paths = []
    for source in sources:
        # A file may have a bracket in its name.
        is_glob = _GLOB.search(source) and not Path(source).exists()
        matches = sorted(glob.glob(source, recursive=True)) if is_glob else [source]
        if not matches:
            raise InputError(f"--source={source} matches no file: check the folder and the pattern")
        paths += map(Path, matches)
    return paths


def read_state(path: str | os.PathLike) -> WeightFile:
    """Reads a safetensors file, or a PyTorch file that holds a state dict, bare or as an entry of a checkpoint.

    Raises:
        InputError: for a file that is missing, damaged, of another format or without tensors, that holds anything but
            tensors, containers and numbers, or where the package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weight file {path} is not there, or no file: check the path")
    if path.suffix == ".safetensors":
        return WeightFile(read_tensors(path).in_float32, [])
    return _read_torch(path)


def _read_torch(path: Path) -> WeightFile:
    try:
        import torch  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise InputError(f"reading {path} needs the package torch: {_INSTALL}") from error
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings(action="ignore"):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damaged files raise nearly anything, KeyError included.
        raise InputError(_refusal(path, error)) from error
    state, ignored = _find_state(contents, torch.Tensor, path)
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise InputError(f"{path}: tensor {name} is sparse or quantized: save it dense, in floating point")
    ignored += [str(name) for name in state if name not in tensors]
    return WeightFile({name: _to_numpy(tensor) for name, tensor in tensors.items()}, ignored)


def _numpy_scalars() -> list[Any]:
    """What pickled numpy scalars are made of, numbers only, under the names that numpy 1 and numpy 2 give it."""
    scalar = np.float64(0).__reduce__()[0]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*names, np.dtype, *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd")]


def _refusal(path: Path, error: Exception) -> str:
    """Why a file that torch refused cannot be read."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign:
        return (
            f"{path} holds {foreign[1]}, which is no tensor or number, and was not opened because such a file can run "
            f"any code: save the model's state_dict() alone"
        )
    if "TorchScript" in str(error):
        return f"{path} is a TorchScript program: save the model's state_dict() instead"
    return f"{path} is no PyTorch file, or a damaged one ({_first_line(error)}): get it again"


def _find_state(contents: Any, tensor: type, path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """The state dict in what a file holds, and the names of the other entries."""
    entries = contents if isinstance(contents, Mapping) else {}
    for name in _STATE_ENTRIES:
        if _is_state(entries.get(name), tensor):
            return entries[name], [str(other) for other in entries if other != name]
    if _is_state(contents, tensor):
        return contents, []
    held = f"the entries {', '.join(map(str, list(entries)[:6]))}" if entries else f"a {type(contents).__name__}"
    raise InputError(f"{path} holds no state dict, but {held}: save the model's state_dict()")


def _is_state(value: Any, tensor: type) -> bool:
    """Whether these are tensors by name; a number or two among them do no harm."""
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(name, str) for name in value) and any(isinstance(item, tensor) for item in value.values())


def _to_numpy(tensor: Any) -> np.ndarray:
    """Array of a tensor; numpy knows neither gradients nor bfloat16."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _first_line(error: Exception) -> str:
    """What an exception says, in a few words."""
    # PyTorch's refusals begin with advice to read the file unsafely.
    lines = [] if isinstance(error, pickle.UnpicklingError) else str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:80]}" if lines else type(error).__name__
