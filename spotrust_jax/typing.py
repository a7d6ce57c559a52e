"""The type of an axis's size."""

from typing import Any

Dimension = int | Any
"""A whole number, or a symbol while `jax.export` makes a program for any size; jax names no type for these."""
