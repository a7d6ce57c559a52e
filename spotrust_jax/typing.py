"""Types that jax names for no type checker: an axis's size, a device."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxlib._jax import Device
else:
    # A variable to type checkers.
    from jax import Device

__all__ = ["Device", "Dimension"]

Dimension = int | Any
"""A whole number, or a symbol while `jax.export` makes a program for any size; jax names no type for these."""
