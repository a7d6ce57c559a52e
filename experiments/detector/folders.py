"""The folders of photographs as they are on disk: their tables, photographs by name, and those of a split."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from experiments.detector.measure import Photograph
from spotrust_jax.data.seen import photograph_hash
from spotrust_jax.io.images import read_image, read_mask

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


def labelled(folder: Path, split: str) -> Iterator[Photograph]:
    """Photographs of a split of inspection_photos."""
    for row in read_table(folder / "splits.csv", split=split):
        image = read_named(folder, row["name"])
        mask = read_mask(folder / "masks" / f"{row['name']}.png")
        yield Photograph(row["name"], row["group"], row["site"], image, mask)


def clean(photographs: Path, split: str) -> Iterator[Photograph]:
    """Photographs of a split of no_rust, each a group of its own, without those that `unlabelled` has as well.

    Sixteen of the 240 are in both, to the pixel, and so among the negatives that the detector was trained on.
    """
    folder = photographs / "no_rust"
    known = {photograph_hash(read_image(file)) for file in (photographs / "unlabelled" / "images").iterdir()}
    for row in read_table(folder / "splits.csv", split=split):
        image = read_named(folder, row["name"])
        if photograph_hash(image) in known:
            continue
        yield Photograph(row["name"], row["name"], "no_rust", image, np.zeros(image.shape[:2], bool))
