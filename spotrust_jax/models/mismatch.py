"""Where variables are not those of a network; to ask takes seconds, since the network is traced for its shapes."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models.segmenter import Variables, variable_shapes

_LISTED = 3


class MismatchError(InputError):
    """Variables that are not those of the network: no photograph can be analysed."""


def differences(tensors: Mapping[str, np.ndarray | jax.Array], model: ModelConfig) -> str:
    """Where tensors [members, ...], named by their paths in the tree, differ from a network's: "" for nowhere."""
    leaves: dict[str, Any] = flatten_dict(variable_shapes(model), sep="/")
    expected = {name: leaf.shape for name, leaf in leaves.items()}
    found = {name: tensor.shape[1:] for name, tensor in tensors.items()}
    lines = [
        *(
            f"{name} has shape {list(found[name])}, not {list(shape)}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ),
        *(f"{name} is missing" for name in expected if name not in found),
        *(f"{name} is unknown" for name in found if name not in expected),
    ]
    return "; ".join([*lines[:_LISTED], *([f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else [])])


@contextlib.contextmanager
def mismatch_errors(variables: Variables, model: ModelConfig) -> Iterator[None]:
    """Around what uses variables [members, ...]: errors become a `MismatchError` where they are another's."""
    try:
        yield
    except Exception as error:
        leaves: dict[str, Any] = flatten_dict(variables, sep="/")
        found = differences(leaves, model)
        if not found:
            raise
        raise MismatchError(f"the checkpoint's variables do not fit its config.json: {found}") from error
