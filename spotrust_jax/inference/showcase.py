"""A picture of a few labelled scenes and what a model finds in them, to show to readers."""

import os
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from spotrust_jax import maps
from spotrust_jax.data.example import Example
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.outputs import map_pictures
from spotrust_jax.inference.segmenter import Segmenter

# White pixels below each row.
_GAP = 8


def write_showcase(
    path: str | os.PathLike[str], segmenter: Segmenter, analysis: Analysis, examples: Iterable[Example]
) -> None:
    """Writes a PNG with a row for each example: scene, truth and maps. The folder exists."""
    rows = [_row(segmenter, analysis, example) for example in examples]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    maps.save_picture(np.concatenate(rows), path)


def _row(segmenter: Segmenter, analysis: Analysis, example: Example) -> UInt8[np.ndarray, "height width 3"]:
    prediction = predict_photograph(segmenter, example.image, analysis)
    pictures = map_pictures(example.image, prediction, segmenter.config.threshold, example.mask)
    del pictures["overlay"]
    shown = {"scene": example.image, "truth": maps.mask_picture(example.mask), **pictures}
    return maps.panel(list(shown.values()), list(shown))
