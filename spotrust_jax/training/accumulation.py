"""A batch in pieces that go through the network one after the other, so that activations of only one are in memory."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree


def mean_over_pieces(function: Callable[[PyTree], PyTree], batch: PyTree, pieces: int, zeros: PyTree) -> PyTree:
    """Mean of `function` over `pieces` pieces of `batch`, one at a time; `zeros` has the shape of its values.

    Piece k holds the examples whose place leaves k when divided by `pieces`: the same over all devices together,
    however many there are.
    """
    if pieces == 1:
        return function(batch)

    def add(total: PyTree, piece: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(lambda a, b: a + b / pieces, total, function(piece)), None

    divided = jax.tree.map(lambda leaf: leaf.reshape(-1, pieces, *leaf.shape[1:]).swapaxes(0, 1), batch)
    total, _ = jax.lax.scan(add, zeros, divided)
    return total
