"""A photograph from file to files: read, analyse, write, and say what went wrong instead of stopping the others."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from spotrust_jax.data.images import IMAGE_EXTENSIONS, read_image, read_mask
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.outputs import Row, describe, write_maps
from spotrust_jax.inference.photographs import Photograph
from spotrust_jax.inference.segmenter import Segmenter


def analyse_photograph(
    segmenter: Segmenter,
    photograph: Photograph,
    output: Path,
    analysis: Analysis,
    threshold: float,
    truths: Path | None = None,
) -> Row:
    """Writes the maps of one photograph below `output` and returns its line of the summary.

    A photograph that cannot be read, or whose ground truth cannot, gives a line with status "failed" and the reason;
    without a usable ground truth the maps are written all the same.
    """
    row = Row(str(photograph.path), str(photograph.stem))
    try:
        image = read_image(photograph.path)
    except InputError as error:
        return dataclasses.replace(row, status="failed", message=str(error))
    truth = None
    if truths is not None:
        try:
            truth = _read_truth(truths, photograph, image.shape[:2])
        except InputError as error:
            row = dataclasses.replace(row, status="failed", message=str(error))
    prediction = predict_photograph(segmenter, image, analysis)
    write_maps(output / photograph.stem, image, prediction, threshold, truth)
    return describe(row, prediction, threshold, truth)


def _read_truth(folder: Path, photograph: Photograph, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The mask in `folder` at the photograph's place below the input, or at its bare stem."""
    names = [photograph.stem, photograph.path.stem]
    paths = [folder / f"{name}{extension}" for name in names for extension in sorted(IMAGE_EXTENSIONS)]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise InputError(f"photograph {photograph.path} has no mask in {folder}: add {photograph.path.stem}.png")
    truth = read_mask(found)
    if truth.shape != shape:
        raise InputError(
            f"ground truth {found} has {truth.shape[1]} x {truth.shape[0]} pixels and photograph {photograph.path} "
            f"{shape[1]} x {shape[0]}: give a mask of the photograph's size"
        )
    return truth
