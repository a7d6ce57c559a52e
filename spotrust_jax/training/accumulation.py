"""A batch in pieces that go through the network one after the other, so that activations of only one are in memory."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from spotrust_jax.config import TrainConfig
from spotrust_jax.errors import InputError
from spotrust_jax.parallel import Placement


def check_shares(batch_size: int, placement: Placement) -> None:
    """Raises an `InputError` unless the replicas can split a batch evenly."""
    whole = placement.round_up(batch_size)
    if whole != batch_size:
        raise InputError(
            f"config.batch_size is {batch_size}, which {placement.replicas} devices cannot split evenly: give {whole}, "
            f"or use fewer devices"
        )


def check_pieces(config: TrainConfig, placement: Placement) -> None:
    """Raises an `InputError` unless each device's share of the batch divides into `config.accumulation` pieces."""
    share = placement.round_up(config.batch_size) // placement.replicas
    if share % config.accumulation:
        raise InputError(
            f"config.accumulation is {config.accumulation}, but each device's share of a batch has {share} examples, "
            f"which do not divide into as many pieces: choose a divisor, or another config.batch_size"
        )


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
