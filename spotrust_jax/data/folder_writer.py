"""Writes any data set as the folder that data/folder.py reads."""

import csv
from pathlib import Path

from PIL import Image

from spotrust_jax.data.example import Dataset


def write_folder(dataset: Dataset, folder: Path, split: str) -> None:
    """Writes images/ and masks/ as PNG, and splits.csv, which puts every example into `split`."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for example in dataset:
        Image.fromarray(example.image).save(folder / "images" / f"{example.name}.png")
        Image.fromarray(example.mask).convert("L").save(folder / "masks" / f"{example.name}.png")
    with (folder / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "split", "group"])
        writer.writerows([name, split, name] for name in dataset.names)
