"""Where float32 is the least, whatever a network computes in."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def wide(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """At least float32, in which statistics and sums are taken."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
