"""Weights of one network in a numpy file, in half precision: small enough to come back from a lent machine."""

import functools
from pathlib import Path

import jax
import numpy as np

from spotrust_jax.models.segmenter import Variables


def save_half(variables: Variables, path: Path) -> None:
    """As float16, by dotted names."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    np.savez(path, **{"/".join(k.key for k in keys): np.asarray(leaf, np.float16) for keys, leaf in leaves})


def load_half(path: Path) -> Variables:
    """The reverse, as float32."""
    variables: Variables = {}
    with np.load(path) as file:
        for name in file.files:
            *parents, leaf = name.split("/")
            functools.reduce(lambda part, key: part.setdefault(key, {}), parents, variables)[leaf] = np.float32(
                file[name]
            )
    return variables
