"""What is known of a data set as a whole: its card, kept with it on disk, and the statistics of its channels.

folder_writer.py and tfds_writer.py write the card.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError

CARD_NAME = "dataset.json"
"""File of the card in a folder of images and masks."""


class ChannelStatistics(NamedTuple):
    """Mean and standard deviation of red, green and blue in [0, 1], over all pixels of the training split."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class DatasetCard(NamedTuple):
    """Where a data set comes from. `version` has the form MAJOR.MINOR.PATCH; texts may be empty."""

    name: str
    description: str = ""
    version: str = "1.0.0"
    citation: str = ""
    licence: str = ""
    # None where there is no one training split, as in a data set that is split into folds.
    statistics: ChannelStatistics | None = None


def channel_statistics(dataset: Dataset) -> ChannelStatistics:
    """Statistics of all pixels in one pass, at the sizes of the photographs, exact up to the last rounding.

    Raises:
        InputError: where there are no examples.
    """
    return image_statistics(example.image for example in dataset)


def image_statistics(images: Iterable[UInt8[np.ndarray, "_ _ 3"]]) -> ChannelStatistics:
    """The same of images on their own."""
    counts = np.zeros((3, 256), np.int64)
    for image in images:
        counts += np.reshape(Image.fromarray(image).histogram(), (3, 256))
    if not counts.any():
        raise InputError("there are no photographs to take channel statistics of: name a split that has some")
    moments = [_moments(channel) for channel in counts.tolist()]
    return ChannelStatistics(*zip(*moments, strict=True))


def _moments(histogram: list[int]) -> tuple[float, float]:
    """Mean and standard deviation of values from 0 to 255, as shares of 255. Sums of Python integers are exact."""
    pixels = sum(histogram)
    total = sum(value * count for value, count in enumerate(histogram))
    squares = sum(value * value * count for value, count in enumerate(histogram))
    return total / pixels / 255, math.sqrt(pixels * squares - total * total) / pixels / 255


def card_to_dict(card: DatasetCard) -> dict[str, Any]:
    """The card as JSON keeps it."""
    return {**card._asdict(), "statistics": card.statistics and card.statistics._asdict()}


def card_from_dict(values: Any, where: str | Path) -> DatasetCard:
    """The card that `card_to_dict` gave; an `InputError` names the file `where` if it is none."""
    try:
        statistics = values["statistics"]
        if statistics is not None:
            statistics = ChannelStatistics(*(_triple(statistics[name]) for name in ChannelStatistics._fields))
        return DatasetCard(**{**values, "statistics": statistics})
    except (TypeError, KeyError, ValueError) as error:
        remedy = "prepare the data set again, or remove the file"
        raise InputError(
            f"{where} is not the card of a data set ({type(error).__name__}: {error}): {remedy}"
        ) from error


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def read_card(folder: Path) -> DatasetCard | None:
    """The card of a folder of images and masks, or None where it has none."""
    path = folder / CARD_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): prepare the data set again, or remove the file") from error
    return card_from_dict(values, path)


def check_writable(splits: Mapping[str, Dataset], card: DatasetCard) -> None:
    """What any writer must know before it begins: an `InputError` says what is wrong.

    Each name stands in one split, names are text, there is something to write, and the version is one.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", card.version):
        raise InputError(f"version {card.version!r} of the data set has another form than 1.0.0: give three numbers")
    places: dict[str, str] = {}
    for split, dataset in splits.items():
        for name in dataset.names:
            if name in places:
                raise InputError(f"{name!r} stands in {places[name]} and in {split}: leave it in one of them")
            if not is_text(name):
                raise InputError(f"{name!r} is not Unicode text of one line: rename the photograph")
            places[name] = split
    if not places:
        raise InputError(f"data set {card.name} has no photographs: there is nothing to write")


def is_text(name: str) -> bool:
    """Whether a name is Unicode text of one line."""
    try:
        name.encode()  # fails for what stands for the bytes of a file name in another encoding
    except UnicodeEncodeError:
        return False
    return name.splitlines() == [name]
