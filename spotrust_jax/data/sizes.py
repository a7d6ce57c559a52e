"""At which size the network sees a photograph: in validation, calibration and prediction, and in training."""

import math

from spotrust_jax.errors import InputError
from spotrust_jax.models.hrnet import COARSEST_CELL

_MULTIPLE = COARSEST_CELL  # pixels; few shapes mean few compilations

# Short over long side of the formats that cameras have (1:1, 4:3, 3:2, 16:9). All that lie nearest to one of them, by
# ratio, are analysed in its shape: whatever the mix, seven shapes, and a few pixels more or less make no other.
_FORMATS = (1.0, 3 / 4, 2 / 3, 9 / 16)
# Below this ratio, half-way from 16:9 to 2:1, photographs keep their own, up to the rounding of the sides.
_SLIMMEST = (9 / 16 * 1 / 2) ** 0.5


def inference_shape(height: int, width: int, scale: int | None) -> tuple[int, int]:
    """Height and width in pixels at which the network sees a photograph.

    With a `scale`, the long side has that many pixels and the aspect ratio is kept, up to rounding: to the nearest of
    1:1, 4:3, 3:2 and 16:9, or, for a slimmer photograph, to none; then of each side to the nearest multiple of 32, and
    at least 32. With None the size stays, but no side is below 32. A scale below 32 is an `InputError`.
    """
    if scale is None:
        return max(height, _MULTIPLE), max(width, _MULTIPLE)
    if scale < _MULTIPLE:
        raise InputError(f"scale {scale} is too small: use {_MULTIPLE} pixels or more")
    ratio = min(height, width) / max(height, width)
    if ratio >= _SLIMMEST:
        ratio = min(_FORMATS, key=lambda known: abs(math.log(known / ratio)))
    long, short = (max(1, math.floor(side / _MULTIPLE + 0.5)) * _MULTIPLE for side in (scale, scale * ratio))
    return (short, long) if height < width else (long, short)


def training_shape(height: int, width: int, scale: int) -> tuple[int, int]:
    """Height and width in pixels from which crops for training are taken.

    The long side is that of `inference_shape`, the short one follows from the proportions to the pixel: what prediction
    rounds is within what crops are stretched by.
    """
    long = largest_shape(scale)[0]
    factor = long / max(height, width)
    new_height, new_width = (max(1, math.floor(side * factor + 0.5)) for side in (height, width))
    return new_height, new_width


def largest_shape(scale: int) -> tuple[int, int]:
    """The square that a photograph of any shape fits into at this scale."""
    return inference_shape(1, 1, scale)
