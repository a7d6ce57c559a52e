"""Photographs and maps of several models side by side, like the paper's figures 2 to 12."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from spotrust_jax.data.example import Example
from spotrust_jax.inference.analysis import at_size
from spotrust_jax.inference.maps import Given
from spotrust_jax.inference.prediction import MAPS, PICTURES, Prediction
from spotrust_jax.io.images import resize_image, resize_mask
from spotrust_jax.outputs import rendering

# Long side in pixels of what is shown.
_SIDE = 320

# The uncertainties that every model gives, by the tables of maps.
_SHOWN = [name for name, picture in PICTURES.items() if MAPS[name].given is Given.ALWAYS and picture.always]


@dataclasses.dataclass(frozen=True)
class _Shown:
    """A photograph, small, with what a model says of it; `truth` is None where there are no labels."""

    image: UInt8[np.ndarray, "height width 3"]
    truth: Bool[np.ndarray, "height width"] | None
    mask: Bool[np.ndarray, "height width"]
    maps: Prediction


class Figures:
    """Collects the first photographs of each kind as models are evaluated, and then writes the pictures.

    Each model is to see the same photographs in the same order.
    """

    def __init__(self, photographs: int):
        self._limit = photographs
        self._known: dict[str, list[_Shown]] = {}
        self._out_of_distribution: dict[str, list[_Shown]] = {}

    def add(self, model: str, example: Example, prediction: Prediction, threshold: float) -> None:
        """Takes in a labelled photograph, unless there are enough."""
        self._add(self._known, model, example.image, example.mask, prediction, threshold)

    def add_out_of_distribution(self, model: str, image: np.ndarray, prediction: Prediction, threshold: float) -> None:
        """Takes in a photograph out of distribution, unless there are enough."""
        self._add(self._out_of_distribution, model, image, None, prediction, threshold)

    def write(self, folder: Path) -> list[Path]:
        """Writes inputs.png, MODEL_detection.png and MODEL_uncertainty.png for each kind, and returns the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {}
        for kind, models in (("", self._known), ("out_of_distribution_", self._out_of_distribution)):
            if models:
                pictures |= {f"{kind}{name}": picture for name, picture in _pictures(models).items()}
        paths = [folder / f"{name}.png" for name in pictures]
        for path, picture in zip(paths, pictures.values(), strict=True):
            rendering.save_picture(picture, path)
        return paths

    def _add(
        self,
        models: dict[str, list[_Shown]],
        model: str,
        image: np.ndarray,
        truth: np.ndarray | None,
        prediction: Prediction,
        threshold: float,
    ) -> None:
        shown = models.setdefault(model, [])
        if len(shown) == self._limit:
            return
        height, width = (max(1, round(side * _SIDE / max(image.shape[:2]))) for side in image.shape[:2])
        small = at_size(prediction, height, width)
        truth = truth if truth is None else resize_mask(truth, height, width)
        mask = small.mask(threshold)
        shown.append(_Shown(resize_image(image, height, width), truth, mask, small))


def _pictures(models: dict[str, list[_Shown]]) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    first = next(iter(models.values()))
    ranges = {name: _range(models, name) for name in _SHOWN}
    pictures = {"inputs": _rows([_input_row(shown) for shown in first])}
    for model, photographs in models.items():
        pictures[f"{_slug(model)}_detection"] = _rows([_detection_row(shown) for shown in photographs])
        pictures[f"{_slug(model)}_uncertainty"] = _rows([_uncertainty_row(shown, ranges) for shown in photographs])
    return pictures


def _input_row(shown: _Shown) -> np.ndarray:
    pictures = {"photograph": shown.image}
    if shown.truth is not None:
        pictures["truth"] = rendering.mask_picture(shown.truth)
    return rendering.panel(list(pictures.values()), list(pictures))


def _detection_row(shown: _Shown) -> np.ndarray:
    pictures = {"photograph": shown.image, "corrosion": rendering.mask_picture(shown.mask)}
    if shown.truth is not None:
        pictures["accuracy"] = rendering.accuracy_picture(shown.mask, shown.truth)
    return rendering.panel(list(pictures.values()), list(pictures))


def _uncertainty_row(shown: _Shown, ranges: dict[str, tuple[float, float]]) -> np.ndarray:
    pictures = {"photograph": shown.image}
    for name in _SHOWN:
        lower, upper = ranges[name]
        picture, values = PICTURES[name], getattr(shown.maps, name)
        pictures[picture.name] = rendering.uncertainty_picture(values, label=picture.label, lower=lower, upper=upper)
    return rendering.panel(list(pictures.values()), list(pictures))


def _range(models: dict[str, list[_Shown]], name: str) -> tuple[float, float]:
    """One range for all models, so that their pictures can be compared."""
    values = [getattr(shown.maps, name).ravel() for photographs in models.values() for shown in photographs]
    return rendering.display_range(np.concatenate(values), floor=MAPS[name].floor)


def _rows(rows: Sequence[np.ndarray]) -> UInt8[np.ndarray, "height width 3"]:
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 10), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)


def _slug(model: str) -> str:
    """Part of a file's name."""
    return re.sub(r"\W+", "_", model).strip("_")
