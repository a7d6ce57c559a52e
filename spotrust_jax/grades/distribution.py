"""How rust is distributed over a surface: the letters that ASTM D610 puts beside its grades 9 to 1.

The standard defines them in words and by pictures. The numbers here are this project's reading of them, measured on
the spots that a mask has in what is judged.
"""

import math
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from spotrust_jax.grades.assignment import needed_pixels
from spotrust_jax.grades.standards import ASTM_D610

SPOT, GENERAL, PINPOINT = "S", "G", "P"

SPECK = ASTM_D610.classes[0].limit
"""Largest share of what is judged that a speck of pinpoint rusting has: alone it would leave grade 10."""

_GAP = 0.02  # of the side of a square as large as what is judged: spots no farther apart are one localized area
_FEW = 3  # localized areas
_BULK = 0.5  # of the rust
_LOCAL = 0.5  # of what is judged: what spreads farther is not localized


class Distribution(NamedTuple):
    """How rust is distributed.

    Attributes:
        letter: "S" spot, "G" general or "P" pinpoint; empty where there is none.
        refusal: why there is none although there is rust; else None.
    """

    letter: str
    refusal: str | None = None


def rust_distribution(
    mask: Bool[np.ndarray, "height width"], judged: Bool[np.ndarray, "height width"], *, judged_pixels: int
) -> Distribution:
    """The letter of a mask.

    - S, spot: at least half of the rust is in at most three localized areas, which take no more than half of what is
      judged. Spots are one area where the gap between them is at most 2% of the side of a square of the judged size.
    - P, pinpoint: otherwise, at least half of the rust is in specks, spots of at most 0.01% of what is judged.
    - G, general: otherwise.

    The hybrid, H, is not given. Specks take 160,000 judged pixels to be seen; with fewer there is no P and no G.

    Args:
        mask: true where there is rust.
        judged: true where the surface is judged.
        judged_pixels: as of `grade_set`: the two may be sampled.
    """
    mask = mask & judged
    if not mask.any():
        return Distribution("")
    if _is_localized(mask, judged):
        return Distribution(SPOT)
    needed = needed_pixels(SPECK) or 0
    if judged_pixels < needed:
        remedy = (
            f"it takes {needed} judged pixels and there are {judged_pixels}: analyse at a larger --scale or go nearer"
        )
        return Distribution("", f"pinpoint and general rusting cannot be distinguished; {remedy}")
    labels, count = cast(tuple[np.ndarray, int], ndimage.label(mask))
    spots = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    in_specks = spots[spots <= SPECK * judged.sum()].sum()
    return Distribution(PINPOINT if in_specks >= _BULK * spots.sum() else GENERAL)


def _is_localized(mask: Bool[np.ndarray, "height width"], judged: Bool[np.ndarray, "height width"]) -> bool:
    gap = _GAP * math.sqrt(judged.sum())
    distance = cast(np.ndarray, ndimage.distance_transform_edt(~mask))
    labels, count = cast(tuple[np.ndarray, int], ndimage.label((distance <= gap / 2) & judged))
    rust, extent = (np.bincount(labels.ravel(), of.ravel(), count + 1)[1:] for of in (mask, judged))
    few = np.argsort(-rust, kind="stable")[:_FEW]
    # As few of them as hold the bulk, so that an area without much rust does not count against the others.
    held = np.flatnonzero(rust[few].cumsum() >= _BULK * rust.sum())
    return held.size > 0 and bool(extent[few[: held[0] + 1]].sum() <= _LOCAL * judged.sum())
