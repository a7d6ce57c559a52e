"""TIFF part by part, by tifffile, also kinds that Pillow does not know. Which files come here is decided in images.py.

Bands beyond the third are not shown, but for an alpha channel that says that it is one.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import Shaped, UInt8
from PIL import Image
from tifffile import EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG

from spotrust_jax.errors import InputError
from spotrust_jax.io.colour import eight_bits, to_rgb
from spotrust_jax.io.image_errors import check_size, damaged

AllocateImage = Callable[[tuple[int, int, int]], UInt8[np.ndarray, "height width 3"]]

_REMEDY = "export it as 8-bit RGB"


class _Bands(NamedTuple):
    """Which samples of a pixel are shown, in which of Pillow's modes, and the largest value where it is no share."""

    shown: tuple[int, ...]
    mode: str
    white: int


def read_tiff(path: str | os.PathLike, *, max_pixels: int) -> UInt8[np.ndarray, "height width 3"]:
    """What `images.read_image` gives, for a TIFF that Pillow does not know; errors as there."""
    with _first_page(path, max_pixels) as page:
        return read_page(page, path, lambda shape: np.empty(shape, np.uint8))


def count_tiff_pixels(path: str | os.PathLike, *, max_pixels: int) -> int:
    """Pixels of such a photograph by its header alone; errors as of `read_tiff` where the header shows them."""
    with _first_page(path, max_pixels) as page:
        return page.imagelength * page.imagewidth


def read_page(
    page: tifffile.TiffPage, path: str | os.PathLike, allocate: AllocateImage
) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph upright, in an array of `allocate`; an `InputError` names `path` where it is of another kind."""
    bands = _bands(page, path)
    turn, profile = page.tags.valueof("Orientation", 1), page.tags.valueof("InterColorProfile")
    shape = (page.imagelength, page.imagewidth)
    height, width = shape[::-1] if turn in (5, 6, 7, 8) else shape
    image = allocate((height, width, 3))
    stored = _as_stored(image, turn)
    for pixels, top, left in _parts(page):
        levels = eight_bits(pixels[..., bands.shown], bands.white, path)
        if page.photometric == PHOTOMETRIC.MINISWHITE:
            levels[..., : len(bands.mode.rstrip("Aa"))] ^= 255
        part = Image.frombytes(bands.mode, levels.shape[1::-1], levels.tobytes())
        part.info["icc_profile"] = profile
        place = stored[top : top + part.height, left : left + part.width]
        place[:] = np.asarray(to_rgb(part, path))[: place.shape[0], : place.shape[1]]
    return image


@contextlib.contextmanager
def _first_page(path: str | os.PathLike, max_pixels: int) -> Iterator[tifffile.TiffPage]:
    """The first page; whatever goes wrong until the end of the block becomes one line."""
    page = None
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            check_size("photograph", path, (page.imagewidth, page.imagelength), max_pixels)
            yield page
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"photograph {path} does not fit into memory: save it smaller") from error
    except Exception as error:  # on damaged files tifffile raises nearly anything
        if page is None or "imagecodecs" not in str(error):
            raise damaged("photograph", path) from error
        needs = "whose compression needs a further package: pip install imagecodecs"
        raise InputError(f"photograph {path} has {_described(page)}, {needs}, or {_REMEDY}") from error


def _bands(page: tifffile.TiffPage, path: str | os.PathLike) -> _Bands:
    known = page.photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
    if not known or page.dtype is None or page.dtype.kind not in "buif" or page.imagedepth != 1:
        raise InputError(f"photograph {path} has {_described(page)}, which are not read: {_REMEDY}")
    white = 2 ** min(page.bitspersample, 16) - 1
    samples, extras = page.samplesperpixel, tuple(page.extrasamples)
    colours = (0, 1, 2) if samples >= 3 else (0,)
    for band, extra in enumerate(extras, samples - len(extras)):
        if band >= len(colours) and extra == EXTRASAMPLE.UNASSALPHA:
            return _Bands((*colours, band), "RGBA" if samples > 3 else "LA", white)
        if band >= len(colours) and extra == EXTRASAMPLE.ASSOCALPHA:
            return _Bands((*(colours * 3)[:3], band), "RGBa", white)
    return _Bands(colours, "RGB" if samples >= 3 else "L", white)


def _parts(page: tifffile.TiffPage) -> Iterator[tuple[Shaped[np.ndarray, "height width band"], int, int]]:
    """Strips or tiles with all bands, and where they begin; the whole at once where each band is stored apart."""
    if page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        yield np.moveaxis(page.asarray(maxworkers=1), 0, -1), 0, 0
        return
    for part, (_, _, top, left, _), shape in page.segments(maxworkers=1):
        # A part that is not stored is empty.
        yield (np.zeros(shape, page.dtype) if part is None else part)[0], top, left


def _described(page: tifffile.TiffPage) -> str:
    compression = getattr(page.compression, "name", page.compression)
    photometric = getattr(page.photometric, "name", page.photometric)
    return f"{page.samplesperpixel} band(s) of {page.bitspersample} bits ({photometric}, {compression})"


def _as_stored(upright: np.ndarray, turn: int) -> np.ndarray:
    """A view of an upright image in the order in which a file of this EXIF orientation has its pixels."""
    if turn in (5, 7):
        upright = upright.swapaxes(0, 1)
    if turn in (6, 8):
        return np.rot90(upright, 1 if turn == 6 else -1)
    return upright[:: -1 if turn in (3, 4, 7) else 1, :: -1 if turn in (2, 3, 7) else 1]
