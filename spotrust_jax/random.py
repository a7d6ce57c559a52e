"""Keys derived by name and index, never by order of calls: who adds a draw changes nobody else's."""

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, Key, Num

from spotrust_jax.typing import Dimension


def stream(key: Key[Array, "*shape"], name: str) -> Key[Array, "*shape"]:
    """The stream called `name` of a key, or of each of several."""
    return fold_each(key, zlib.crc32(name.encode()))


def fold_each(keys: Key[Array, "*shape"], data: int | Integer[Array, ""]) -> Key[Array, "*shape"]:
    """Folds the same number into one key or each of several."""
    fold = jax.random.fold_in
    for _ in range(keys.ndim):
        fold = jax.vmap(fold, in_axes=(0, None))
    return fold(keys, data)


def fold_indices(key: Key[Array, ""], indices: Integer[Array, "batch"]) -> Key[Array, "batch"]:
    """One key for each index."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)


def normal(key: Key[Array, ""], shape: tuple[Dimension, ...], dtype: DTypeLike = jnp.float32) -> Float[Array, "..."]:
    """Standard normal numbers: jax's own, drawn flat, because its generator compiles several times faster so."""
    return jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)


def bernoulli(key: Key[Array, ""], probability: float, shape: tuple[Dimension, ...]) -> Bool[Array, "..."]:
    """True with the given probability; drawn flat as in `normal`."""
    return jax.random.bernoulli(key, probability, (math.prod(shape),)).reshape(shape)


def content_keys(key: Key[Array, ""], images: Num[np.ndarray, "batch height width channel"]) -> Key[Array, "batch"]:
    """One key for each image, by its content: the same alone, in a batch and under any file name."""
    checksums = [zlib.crc32(np.ascontiguousarray(image).data) for image in images]
    return fold_indices(key, jnp.asarray(np.array(checksums, np.uint32)))
