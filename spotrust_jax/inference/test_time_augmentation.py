"""Test-time augmentation: a photograph mirrored, turned and scaled, and the maps of all of these combined."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.inference.maps import Combination
from spotrust_jax.inference.prediction import MAPS, PixelMap, Prediction
from spotrust_jax.inference.preprocessing import fit_image, restore_map
from spotrust_jax.models.hrnet import COARSEST_CELL

Transform = Callable[[np.ndarray], np.ndarray]


class Augmentation(NamedTuple):
    """A change of a photograph that its maps can be brought back from.

    Attributes:
        name: for people.
        transform, inverse: of the first two axes of an array.
        scale: factor on both sides, up to rounding to multiples of 32.
    """

    name: str
    transform: Transform
    inverse: Transform
    scale: float = 1.0

    def image(self, image: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """The changed image."""
        if self.scale != 1.0:
            height, width = (_scaled(side, self.scale) for side in image.shape[:2])
            image = fit_image(image, (height, width))
        return np.ascontiguousarray(self.transform(image))

    def restored(self, prediction: Prediction, height: int, width: int) -> Prediction:
        """The maps of the changed image at the places of the original, whose size is given."""
        return prediction.map(lambda values: restore_map(np.ascontiguousarray(self.inverse(values)), height, width))


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _turned(quarters: int) -> Augmentation:
    return Augmentation(f"turned by {90 * quarters}", lambda a: np.rot90(a, quarters), lambda a: np.rot90(a, -quarters))


AUGMENTATIONS = (
    Augmentation("as it is", _same, _same),
    Augmentation("mirrored", np.fliplr, np.fliplr),
    Augmentation("upside down", np.flipud, np.flipud),
    *(_turned(quarters) for quarters in (1, 2, 3)),
    Augmentation("smaller", _same, _same, 3 / 4),
    Augmentation("larger", _same, _same, 5 / 4),
)
"""One change at a time, so that all eight cost eight times as much as none, not twenty-four times."""


def combine(predictions: Sequence[Prediction]) -> Prediction:
    """The maps of all augmentations as one, by what `MAPS` says of each."""
    between = [name for name, described in MAPS.items() if described.augmentations is Combination.BETWEEN]
    names = (*predictions[0].names, *between)
    return dataclasses.replace(predictions[0], **{name: _combined(name, predictions) for name in names})


def _combined(name: str, predictions: Sequence[Prediction]) -> PixelMap:
    probabilities = np.stack([one.probability for one in predictions])
    if MAPS[name].augmentations is Combination.BETWEEN:
        return probabilities.std(axis=0)
    values = np.stack([getattr(one, name) for one in predictions])
    match MAPS[name].augmentations:
        case Combination.WITHIN:
            return np.sqrt(np.mean(values**2, axis=0))
        case Combination.TOTAL:
            return np.sqrt(np.mean(values**2, axis=0) + probabilities.var(axis=0))
        case _:
            return values.mean(axis=0)


def _scaled(side: int, scale: float) -> int:
    return max(1, round(side * scale / COARSEST_CELL)) * COARSEST_CELL
