"""Mean and variance of values that come in parts, without cancellation."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """Mean and summed squared deviation from it of `count` values at each place."""

    count: Float[Array, ""]
    mean: Float[Array, "*shape"]
    squares: Float[Array, "*shape"]


def no_moments(like: Float[Array, "*shape"]) -> Moments:
    """Moments of nothing."""
    return Moments(jnp.zeros(()), jnp.zeros_like(like), jnp.zeros_like(like))


def moments_of(values: Float[Array, "count *shape"]) -> Moments:
    """Moments over the leading axis."""
    mean = jnp.mean(values, axis=0)
    return Moments(jnp.asarray(values.shape[0], jnp.float32), mean, jnp.sum(jnp.square(values - mean[None]), axis=0))


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of both sets together, without cancellation (Chan, Golub and LeVeque 1983)."""
    count = a.count + b.count
    difference = b.mean - a.mean
    share = b.count / count
    mean = a.mean + difference * share
    return Moments(count, mean, a.squares + b.squares + jnp.square(difference) * (a.count * share))


def std(moments: Moments) -> Float[Array, "*shape"]:
    """Standard deviation of the values themselves (divided by their count): 0 for a single one."""
    return jnp.sqrt(moments.squares / moments.count)
