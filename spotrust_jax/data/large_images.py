"""Photographs too large to be held in memory at once, read part by part into an array that may lie on disk.

All else about reading photographs is in images.py.
"""

import os
from collections.abc import Callable

import numpy as np
import tifffile
from jaxtyping import UInt8
from PIL import Image

from spotrust_jax.data.images import read_image, to_rgb

AllocateImage = Callable[[tuple[int, int, int]], UInt8[np.ndarray, "height width 3"]]

# Number of samples for each pixel, and the meaning of those beyond colour: the mode in which Pillow reads them.
_MODES = {(1, ()): "L", (3, ()): "RGB", (4, (tifffile.EXTRASAMPLE.UNASSALPHA,)): "RGBA"}


def read_large_image(path: str | os.PathLike, allocate: AllocateImage) -> UInt8[np.ndarray, "height width 3"]:
    """What `read_image` gives, in an array of `allocate` where the file can be decoded part by part.

    That is a TIFF of 8-bit grey, RGB or RGBA in strips or tiles, whose compression is none, Deflate or PackBits, or
    any that tifffile knows where imagecodecs is installed. All other files, damaged ones too, are left to `read_image`.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return _read_parts(file.pages[0], path, allocate)
    except OSError:  # such as a full disk
        raise
    except Exception:  # on files that are no TIFF, or a damaged or an unusual one, tifffile raises nearly anything
        return read_image(path)


def _read_parts(page: tifffile.TiffPage, path: str | os.PathLike, allocate: AllocateImage) -> np.ndarray:
    mode = _MODES[page.samplesperpixel, tuple(page.extrasamples)]
    plain = page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
    if not plain or page.dtype != np.uint8 or page.planarconfig != tifffile.PLANARCONFIG.CONTIG:
        raise ValueError("for Pillow")
    turn = page.tags.valueof("Orientation", 1)
    shape = (page.imagelength, page.imagewidth)
    image = allocate((*(shape[::-1] if turn in (5, 6, 7, 8) else shape), 3))
    stored = _as_stored(image, turn)
    for part, (_, _, top, left, _), _ in page.segments(maxworkers=1):
        pixels = part[0, ..., 0] if mode == "L" else part[0]
        place = stored[top : top + pixels.shape[0], left : left + pixels.shape[1]]
        rgb = np.asarray(to_rgb(Image.fromarray(pixels, mode), path))
        place[:] = rgb[: place.shape[0], : place.shape[1]]
    return image


def _as_stored(upright: np.ndarray, turn: int) -> np.ndarray:
    """A view of an upright image in the order in which a file of this EXIF orientation has its pixels."""
    if turn in (5, 7):
        upright = upright.swapaxes(0, 1)
    if turn in (6, 8):
        return np.rot90(upright, 1 if turn == 6 else -1)
    return upright[:: -1 if turn in (3, 4, 7) else 1, :: -1 if turn in (2, 3, 7) else 1]
