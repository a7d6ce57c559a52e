"""The folders of photographs as they are on disk: their tables, and photographs by name."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.io.images import read_image

# Of a table, by column.
Row = dict[str, str]


def read_table(table: Path, **wanted: str) -> list[Row]:
    """The rows whose columns have these values."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def read_named(folder: Path, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph of a name, whatever its extension."""
    return read_image(next((folder / "images").glob(f"{name}.*")))
