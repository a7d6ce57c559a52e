"""Test-time augmentation: the same pixels seen mirrored, turned and at other scales, and the spread of the answers."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from spotrust_jax.inference.prediction import DEVIATIONS, Prediction
from spotrust_jax.inference.preprocessing import fit_image, restore_map
from spotrust_jax.models.hrnet import COARSEST_CELL

Turn = Callable[[np.ndarray], np.ndarray]


class View(NamedTuple):
    """A way to look at a photograph.

    Attributes:
        name: for people.
        turn, undo: of the first two axes of an array, and back.
        scale: factor on both sides, up to rounding to multiples of 32.
    """

    name: str
    turn: Turn
    undo: Turn
    scale: float = 1.0


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _turned(quarters: int) -> View:
    return View(f"turned by {90 * quarters}", lambda a: np.rot90(a, quarters), lambda a: np.rot90(a, -quarters))


VIEWS = (
    View("as it is", _same, _same),
    View("mirrored", np.fliplr, np.fliplr),
    View("upside down", np.flipud, np.flipud),
    *(_turned(quarters) for quarters in (1, 2, 3)),
    View("smaller", _same, _same, 3 / 4),
    View("larger", _same, _same, 5 / 4),
)
"""All views: one change at a time, so that eight of them cost eight times as much, not twenty-four times."""


def show(view: View, image: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """The image as the view shows it."""
    if view.scale != 1.0:
        image = fit_image(image, tuple(_scaled(side, view.scale) for side in image.shape[:2]))
    return np.ascontiguousarray(view.turn(image))


def put_back(view: View, prediction: Prediction, height: int, width: int) -> Prediction:
    """The maps of a view at the places of the image that it was made of."""
    return prediction.map(lambda values: restore_map(np.ascontiguousarray(view.undo(values)), height, width))


def combine(predictions: Sequence[Prediction]) -> Prediction:
    """Means over the views, deviations of the variance, and apart from these the deviation between the views."""
    seen = {name: np.stack([getattr(p, name) for p in predictions]) for name in predictions[0].names}
    means = {name: _mean_deviation(v) if name in DEVIATIONS else v.mean(axis=0) for name, v in seen.items()}
    return dataclasses.replace(predictions[0], **means, augmentation=seen["probability"].std(axis=0))


def _mean_deviation(deviations: Float32[np.ndarray, "views height width"]) -> Float32[np.ndarray, "height width"]:
    """Of the mean variance."""
    return np.sqrt(np.mean(deviations**2, axis=0))


def _scaled(side: int, scale: float) -> int:
    return max(1, round(side * scale / COARSEST_CELL)) * COARSEST_CELL
