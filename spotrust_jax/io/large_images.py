"""Photographs too large to be held in memory at once, read part by part into an array that may lie on disk.

All else about reading photographs is in images.py, and TIFF in tiff.py.
"""

import os

import numpy as np
import tifffile
from jaxtyping import UInt8

from spotrust_jax.io.images import read_image
from spotrust_jax.io.tiff import AllocateImage, read_page


def read_large_image(path: str | os.PathLike, allocate: AllocateImage) -> UInt8[np.ndarray, "height width 3"]:
    """What `read_image` gives, in an array of `allocate` where the file can be decoded part by part.

    That is a TIFF of grey, RGB or more bands in strips or tiles, whose compression is none, Deflate or PackBits, or
    any that tifffile knows where imagecodecs is installed. All other files, damaged ones too, are left to `read_image`.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return read_page(file.pages.first, path, allocate)
    except OSError:  # such as a full disk
        raise
    except Exception:  # on files that are no TIFF, or a damaged or an unusual one, tifffile raises nearly anything
        return read_image(path)
