"""Writes any data set as the folder that data/folder_dataset.py reads."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from spotrust_jax.data.card import CARD_NAME, DatasetCard, card_to_dict, check_writable
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.example_order import sites_of
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import files_below, is_photograph


def write_folder(splits: Mapping[str, Dataset], folder: Path, card: DatasetCard) -> None:
    """Writes images/, masks/ and, where pixels are ignored, ignored/ as PNG, dataset.json, and splits.csv last.

    What is there under the same names is replaced, so an interrupted run can be repeated.

    Raises:
        InputError: where names cannot be file names, or the folder has other photographs already.
    """
    check_writable(splits, card)
    names = {name for dataset in splits.values() for name in dataset.names}
    _check_names(names)
    for kind in ("images", "masks", "ignored"):
        _check_empty_but_for(folder / kind, names)
    rows = []
    for split, dataset in splits.items():
        for example, site in zip(dataset, sites_of(dataset), strict=True):
            _save(example.image, folder / "images", example.name)
            _save(example.mask, folder / "masks", example.name)
            if example.ignored is not None and example.ignored.any():
                _save(example.ignored, folder / "ignored", example.name)
            rows.append((example.name, split, example.group, site))
    (folder / CARD_NAME).write_text(json.dumps(card_to_dict(card), indent=2) + "\n", "utf-8")
    with (folder / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = 4 if any(site for *_, site in rows) else 3
        writer.writerow(["name", "split", "group", "site"][:columns])
        writer.writerows(row[:columns] for row in sorted(rows))


def _save(pixels: Shaped[np.ndarray, "height width *channel"], folder: Path, name: str) -> None:
    file = folder / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert("L") if image.mode == "1" else image).save(file)


def _check_names(names: set[str]) -> None:
    for name in sorted(names):
        # A leading dot would hide a file or a folder, and one alone would name a folder.
        if any(not part or part.startswith(".") for part in name.split("/")) or "\\" in name:
            raise InputError(f"the name {name!r} cannot be that of a file: rename the photograph")


def _check_empty_but_for(folder: Path, names: set[str]) -> None:
    files = {file.relative_to(folder).as_posix() for file in files_below(folder, is_photograph, lambda error: None)}
    others = sorted(files - {f"{name}.png" for name in names})
    if others:
        raise InputError(f"{folder} has other files already, such as {others[0]}: give an empty folder for the output")
