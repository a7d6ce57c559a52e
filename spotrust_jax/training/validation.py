"""After an epoch: scores of every member on its validation split, and pictures of the first photographs in it."""

from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from spotrust_jax.outputs import rendering
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.sampling.passes import Maps
from spotrust_jax.training.scores import average_precision, f1_best_threshold
from spotrust_jax.training.state import MemberState
from spotrust_jax.training.step import DeviceBatch, ValidationSums

ValidationStep = Callable[[MemberState, DeviceBatch], tuple[ValidationSums, Maps]]
Picture = UInt8[np.ndarray, "_ _ 3"]


def validate(
    step: ValidationStep,
    state: MemberState,
    batches: Iterable[DeviceBatch],
    grid: DeviceGrid,
    *,
    between: Callable[[], None],
    num_panels: int,
) -> tuple[dict[str, np.ndarray], list[Picture]]:
    """Metrics, one value for each member under every name, and panels of the first photographs.

    Args:
        step: of `training.step.validation_step`, over all members.
        state: of all members, on the grid.
        batches: of `training.input_pipeline.validation_pipeline`.
        grid: where all of it is.
        between: called after each batch.
        num_panels: photographs that are shown at most, by the first member on the first device.
    """
    sums, panels = [], []
    for batch in batches:
        of_batch, shown = step(state, batch)
        sums.append(of_batch)
        if len(panels) < num_panels:
            panels += _panels(batch, shown)[: num_panels - len(panels)]
        between()
    return _scores(sums, grid), panels


def _scores(sums: Sequence[ValidationSums], grid: DeviceGrid) -> dict[str, np.ndarray]:
    """Over all scored pixels of the split, in float64."""
    gathered = [grid.gather(of_batch) for of_batch in sums]
    whole = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=np.float64), *gathered)
    tp, fp, fn, tn = whole[:4]
    pixels = np.maximum(tp + fp + fn + tn, 1)  # none at all for a member that has stopped
    return {
        "average_precision": average_precision(whole.corroded, whole.sound),
        "f1_best_threshold": f1_best_threshold(whole.corroded, whole.sound),
        "accuracy": (tp + tn) / pixels,
        "f1_corrosion": 2 * tp / np.maximum(2 * tp + fp + fn, 1),
        "iou_corrosion": tp / np.maximum(tp + fp + fn, 1),
        "loss": whole.loss / pixels,
        "epistemic": whole.epistemic / pixels,
        "corroded_share": (tp + fn) / pixels,
    }


def _panels(batch: DeviceBatch, shown: Maps) -> list[Picture]:
    """One for each photograph of the batch that the first device has for its first member."""
    here, maps = jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0))[0, 0], (batch, shown))
    return [
        _panel(here.images[row], here.masks[row], maps.probability[row], maps.epistemic[row], maps.log_variance[row])
        for row in np.flatnonzero(here.valid)
    ]


def _panel(
    image: np.ndarray, mask: np.ndarray, probability: np.ndarray, epistemic: np.ndarray, log_variance: np.ndarray
) -> Picture:
    low, high = rendering.display_range(log_variance)
    largest = rendering.display_range(epistemic, floor=0.0)[1]
    pictures = {
        "photograph": image,
        "truth": rendering.mask_picture(mask),
        "probability": rendering.uncertainty_picture(probability, label="probability", lower=0.0, upper=1.0),
        "epistemic": rendering.uncertainty_picture(epistemic, label="std", lower=0.0, upper=largest),
        "aleatoric": rendering.uncertainty_picture(log_variance, label="log variance", lower=low, upper=high),
    }
    return rendering.panel(list(pictures.values()), list(pictures))
