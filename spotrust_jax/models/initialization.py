"""How variables begin: layers declare a distribution for each, and the host draws them, so that nothing is compiled.

A compiled draw is a program of its own for each shape, which for a large network takes a minute to compile.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Key

from spotrust_jax.random import stream


class Declared(struct.PyTreeNode, nn.meta.AxisMetadata):
    """A variable that is yet to be drawn: its shape, as zeros, and the normal distribution that it begins with."""

    value: Any
    mean: float = struct.field(pytree_node=False)
    std: float = struct.field(pytree_node=False)

    def unbox(self) -> Any:
        """The zeros, which have the shape."""
        return self.value

    def replace_boxed(self, val: Any) -> "Declared":
        """Of another shape."""
        return self.replace(value=val)

    def add_axis(self, index: int, params: dict[Any, Any]) -> "Declared":
        """An axis makes no difference: all elements are independent."""
        return self

    def remove_axis(self, index: int, params: dict[Any, Any]) -> "Declared":
        """Likewise."""
        return self


Declaration = Callable[[Any, tuple[int, ...]], Any]
"""What a layer gives to `self.param` in the place of an initialiser; the key that Flax hands it is not used.

It returns a `Declared`, of which Flax hands on the array inside; its overloads of `param` have no type for that.
"""


def normal(mean: float = 0.0, *, std: float) -> Declaration:
    """Independent normal numbers."""
    return lambda key, shape: Declared(jnp.zeros(shape), mean, std)


def constant(value: float) -> Declaration:
    """The same number everywhere."""
    return normal(value, std=0.0)


def he_fan_out(key: Any, shape: tuple[int, ...]) -> Any:
    """He's initialisation of a kernel [side, side, in, out] by what a cell feeds, as for the published HRNet."""
    fan_out = shape[0] * shape[1] * shape[3]
    return normal(std=(2.0 / fan_out) ** 0.5)(key, shape)


nearly_zero = normal(std=0.01)
"""For the two output layers: every pixel undecided at the start, every log variance near 0."""


def declarations(module: nn.Module, *inputs: Any, **options: Any) -> dict[str, Any]:
    """The tree of `module`'s variables for such inputs, `Declared` leaves, without computing anything."""
    return jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **options))


def draw(declared: dict[str, Any], key: Key[Array, ""]) -> dict[str, Any]:
    """Draws declared variables as float32 numpy arrays, each by the key and its own path in the tree alone.

    Raises:
        TypeError: for a variable whose layer gave an initialiser of Flax's instead of a declaration.
    """

    def drawn(path: tuple, leaf: Any) -> np.ndarray:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not isinstance(leaf, Declared):
            raise TypeError(f"{name} has a plain initialiser: declare it by models.initialization.normal or constant")
        shape = leaf.value.shape
        if not leaf.std:
            return np.full(shape, leaf.mean, np.float32)
        words = np.asarray(jax.random.key_data(stream(key, name)))
        numbers = np.random.Generator(np.random.Philox(words)).standard_normal(shape, np.float32)
        return np.float32(leaf.mean) + np.float32(leaf.std) * numbers

    return jax.tree_util.tree_map_with_path(drawn, declared, is_leaf=nn.meta.is_axis_metadata)


def initial_values(module: nn.Module, key: Key[Array, ""], *inputs: Any, **options: Any) -> dict[str, Any]:
    """Freshly drawn variables of any module for such inputs, as jax arrays, in the place of Flax's `module.init`."""
    return jax.tree.map(jnp.asarray, draw(declarations(module, *inputs, **options), key))
