"""Photographs without labels from folders, and synthetic scenes among them, at the size that they are kept at."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.config import UnlabelledConfig
from spotrust_jax.data.folder_dataset import given_splits
from spotrust_jax.data.splits import is_fold
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import files_below, is_readable
from spotrust_jax.io.images import read_image, resize_image

# Photographs decoded at the same time; Pillow leaves Python's lock meanwhile.
_THREADS = 4


def read_photographs(config: UnlabelledConfig, seed: int) -> tuple[list[UInt8[np.ndarray, "_ _ 3"]], int]:
    """All photographs and scenes, their long side at most `config.long_side`, and how many of them are held out.

    They are in a random order, and those held out are the last ones.

    Raises:
        InputError: where there are too few of them, or one cannot be read.
    """
    files = [file for folder in _folders(config.path) for file in _training_files(folder)]
    with ThreadPoolExecutor(_THREADS) as threads:
        images = list(threads.map(lambda file: _shrunk(read_image(file), config.long_side), files))
    if config.scenes:
        images += [scene.image for scene in SurveySceneDataset("train", config.scenes, config.long_side)]
    held_out = max(1, round(config.held_out * len(images)))
    if held_out >= len(images):
        raise InputError(
            f"config.data.path has {len(files)} photographs and config.data.scenes is {config.scenes}: give more, "
            f"--config.data.path=DIR or --config.data.path=DIR,DIR"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    return [images[place] for place in order], held_out


def _folders(path: str) -> list[Path]:
    """A folder's name may have commas in it."""
    names = [path] if Path(path).is_dir() else path.split(",")
    return [Path(name) for name in names if name]


def _training_files(path: Path) -> list[Path]:
    """All photographs below a folder; of a data set with splits, what trains."""
    if not path.is_dir():
        raise InputError(f"config.data.path names {path}, which is no folder: give folders of photographs")
    root = path / "images" if (path / "images").is_dir() else path
    files = {file.relative_to(root).with_suffix("").as_posix(): file for file in files_below(root, _wanted, _refuse)}
    if root != path and (splits := given_splits(path, files)):
        files = {name: file for name, file in files.items() if splits[name] == "train" or is_fold(splits[name])}
    if not files:
        raise InputError(f"config.data.path names {path}, which has no photographs to train on: check the folder")
    return list(files.values())


def _wanted(name: str) -> bool:
    return is_readable(name) and not name.startswith(".")


def _refuse(error: OSError) -> NoReturn:
    raise InputError(f"folder {error.filename} cannot be read ({error.strerror}): check its permissions") from error


def _shrunk(image: UInt8[np.ndarray, "_ _ 3"], long_side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The photograph at its own size where that is no larger."""
    height, width = image.shape[:2]
    factor = min(1.0, long_side / max(height, width))
    return resize_image(image, max(1, round(height * factor)), max(1, round(width * factor)))
