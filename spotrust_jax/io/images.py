"""Photographs and masks from single files, and their resizing.

data/folder_dataset.py pairs the files of a data set, inference/preprocessing.py lists the photographs to predict on.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from spotrust_jax.errors import InputError
from spotrust_jax.io.colour import to_rgb
from spotrust_jax.io.image_errors import BLANK_PIXELS, COPY_AGAIN, check_size, damaged
from spotrust_jax.io.image_files import RAW, RAW_EXTENSIONS, READS_HEIF, WITHOUT_HEIF, why_unread
from spotrust_jax.io.regular_files import is_special

MAX_PIXELS = 500_000_000

# Only formats that photographs and masks come in: Pillow would start Ghostscript for a file that is PostScript.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "AVIF", "PPM")

# How files begin that others than Pillow read: from the 5th byte on, and at once.
_HEIF_BRANDS = frozenset(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_JPEG = ("JPEG", "MPO")

_SAVE_AS = "save it with 0 for background and 255 for corrosion"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph as 8-bit RGB, turned upright as its EXIF orientation says.

    Greyscale, 1-bit, palette and CMYK become RGB, and the colours of an ICC profile those of sRGB; transparency is laid
    on white, as viewers and browsers show it; 16 bits, and floating-point values from 0 to 1, are scaled to 8. Of
    several pages or frames the first is read, of several bands of a TIFF the first three. A file that is missing,
    damaged, no image, of other values, larger than `max_pixels`, or far smaller than such a photograph can be is an
    `InputError`.
    """
    try:
        with _opened("photograph", path, max_pixels) as image:
            image.load()
            turn = _UPRIGHT.get(orientation(image))
            rgb = to_rgb(image, path)
            return np.array(rgb if turn is None else rgb.transpose(turn))
    except _UnknownTiffError:
        from spotrust_jax.io.tiff import read_tiff  # noqa: PLC0415 - a fifth of a second, for few photographs

        return read_tiff(path, max_pixels=max_pixels)


def count_pixels(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> int:
    """Pixels of a photograph by its header alone; errors as of `read_image` where the header shows them."""
    try:
        with _opened("photograph", path, max_pixels) as image:
            return image.width * image.height
    except _UnknownTiffError:
        from spotrust_jax.io.tiff import count_tiff_pixels  # noqa: PLC0415 - as above

        return count_tiff_pixels(path, max_pixels=max_pixels)


def mask_limit(shape: tuple[int, ...]) -> int:
    """Pixels that the mask of a photograph [height, width, ...] may have: no larger one is decoded to compare sizes."""
    return max(BLANK_PIXELS, shape[0] * shape[1])


def read_mask(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> Bool[np.ndarray, "height width"]:
    """Read a mask, true where there is corrosion.

    The file has one channel, one bit, a palette, or three equal channels, and the values 0 (background) and 255
    (corrosion) or, with one bit, 0 and 1. Anything else is an `InputError`, as is what `read_image` refuses. Labels are
    drawn on the photograph as shown, so an EXIF orientation in the mask is ignored (a TIFF's own tag is not).
    """
    with _opened("mask", path, max_pixels) as image:
        levels = _mask_levels(image, path)
        if levels.dtype == bool:
            return levels
        corrosion = levels == 255
        if not (corrosion | (levels == 0)).all():
            remedy = f"JPEG blurs labels, {_SAVE_AS} as PNG" if image.format in _JPEG else _SAVE_AS
            raise InputError(f"mask {path} has values {_value_set(levels)}, expected 0 and 255: {remedy}")
        return corrosion


class LabelPixels(NamedTuple):
    """What a label's file holds: numbers [height, width] (bool where it has one bit) or colours [height, width, 3]."""

    values: Shaped[np.ndarray, "height width *channel"]
    # Whether it was saved as JPEG, which blurs both.
    jpeg: bool


def read_label_pixels(
    path: str | os.PathLike, *, palette_indices: bool = False, max_pixels: int = MAX_PIXELS
) -> LabelPixels:
    """Read a mask whatever its values mean; a palette's colours, or with `palette_indices` their numbers.

    A file that is missing, damaged, no image, partly transparent or larger than `max_pixels` is an `InputError`.
    """
    with _opened("mask", path, max_pixels) as image:
        jpeg = image.format in _JPEG
        if palette_indices and image.mode == "P":
            return LabelPixels(np.array(image), jpeg)
        _check_opaque(image, path)
        one_channel = image.mode != "P" and len(image.getbands()) == 1
        return LabelPixels(np.array(image if one_channel else image.convert("RGB")), jpeg)


def resize_image(image: UInt8[np.ndarray, "_ _ 3"], height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Resize by bilinear interpolation, antialiased where it shrinks; the right size is returned as it is."""
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: Bool[np.ndarray, "_ _"], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """Resize by area: a pixel is corrosion where corrosion covers at least half of it."""
    if mask.shape == (height, width):
        return mask
    return _coverage(mask, height, width) > 0.5 - _TIE


def resize_label(
    mask: Bool[np.ndarray, "_ _"], ignored: Bool[np.ndarray, "_ _"] | None, height: int, width: int
) -> tuple[Bool[np.ndarray, "{height} {width}"], Bool[np.ndarray, "{height} {width}"] | None]:
    """Resize a mask and what of it is ignored, by area.

    A pixel is ignored where more than half of it is, and else corrosion where corrosion covers at least half of the
    rest.
    """
    if ignored is None or mask.shape == (height, width):
        return resize_mask(mask, height, width), ignored
    known, corroded = _coverage(~ignored, height, width), _coverage(mask & ~ignored, height, width)
    left_out = known < 0.5 - _TIE
    return ~left_out & (corroded > known / 2 - _TIE), left_out


# A tie must not be decided by rounding.
_TIE = 1e-5


def _coverage(mask: Bool[np.ndarray, "_ _"], height: int, width: int) -> Float32[np.ndarray, "{height} {width}"]:
    """Share of each pixel of the new size that is true."""
    # Pillow's own conversion is faster than its import of a float array.
    levels = Image.fromarray(mask.astype(np.uint8)).convert("F")
    return np.asarray(levels.resize((width, height), Image.Resampling.BOX))


class _WithoutPillowLimit:
    """Lifts Pillow's process-wide pixel limit, which is below ours, while any thread is inside."""

    def __init__(self):
        self._lock, self._readers, self._limit = threading.Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if self._readers == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._readers += 1

    def __exit__(self, *exception):
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                Image.MAX_IMAGE_PIXELS = self._limit


without_pillow_limit = _WithoutPillowLimit()


@contextlib.contextmanager
def _opened(kind: str, path: str | os.PathLike, max_pixels: int) -> Iterator[Image.Image]:
    """The image with only its header read; whatever goes wrong until the end of the block becomes one line."""
    try:
        _check_kind(kind, path)
        with without_pillow_limit, Image.open(path, formats=_formats()) as image:
            _check_tiff(kind, path, image)
            check_size(kind, path, image.size, max_pixels)
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{kind} {path} does not exist: check the path") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"{kind} {path} cannot be opened ({error.strerror}): check path and permissions") from error
    except UnidentifiedImageError as error:
        raise _unidentified(kind, path) from error
    except MemoryError as error:
        raise InputError(f"{kind} {path} does not fit into memory: save it smaller") from error
    except Exception as error:  # on damaged files Pillow's readers raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{kind} {path} cannot be decoded ({reason}): copy it again or convert it to PNG") from error


class _UnknownTiffError(InputError):
    """A TIFF that Pillow does not know, or that is damaged."""


def _formats() -> tuple[str, ...]:
    if not READS_HEIF:
        return _FORMATS
    import pillow_heif  # noqa: PLC0415 - of an extra

    pillow_heif.register_heif_opener()
    return (*_FORMATS, "HEIF")


def _check_kind(kind: str, path: str | os.PathLike) -> None:
    """Refuse by name what would be read as its small preview, and what no reading might end of."""
    if Path(path).suffix.lower() in RAW_EXTENSIONS:
        raise InputError(f"{kind} {path} {RAW}")
    try:
        special = is_special(Path(path))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{kind} {path} is a link that leads to itself: remove it") from error
    if special:
        raise InputError(f"{kind} {path} is no file with content, but a pipe or a device: remove it")


def _check_tiff(kind: str, path: str | os.PathLike, image: Image.Image) -> None:
    """Refuse by content a raw file, whose first picture is a small preview, and what Pillow would read wrongly.

    Where bands are stored apart that is all but RGB of 8 bits: of others it decodes the first only, or noise.
    """
    if not isinstance(image, TiffImageFile):
        return
    if ExifTags.Base.DNGVersion in image.tag_v2:
        raise InputError(f"{kind} {path} {RAW}")
    tags, base = image.tag_v2, ExifTags.Base
    apart = tags.get(base.PlanarConfiguration) == 2 and tags.get(base.SamplesPerPixel, 1) > 1
    plain = image.mode in ("RGB", "RGBA") and set(tags.get(base.BitsPerSample, ())) == {8}
    if kind == "photograph" and apart and not plain:
        raise _UnknownTiffError(str(damaged(kind, path)))


def _unidentified(kind: str, path: str | os.PathLike) -> InputError:
    """What there is to say of a file that Pillow does not know."""
    with open(path, "rb") as file:
        start = file.read(12)
    if not start:
        return InputError(f"{kind} {path} is empty: {COPY_AGAIN}")
    if reason := WITHOUT_HEIF if start[4:] in _HEIF_BRANDS and not READS_HEIF else why_unread(path):
        return InputError(f"{kind} {path} {reason}")
    if kind == "photograph" and start[:4] in _TIFF_STARTS:
        return _UnknownTiffError(str(damaged(kind, path)))
    return damaged(kind, path)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8 in a sound file; damaged metadata are no reason to lose the photograph."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # as above, nearly anything
        return 1


def _check_opaque(image: Image.Image, path: str | os.PathLike) -> None:
    if image.has_transparency_data and np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
        raise InputError(f"mask {path} is partly transparent: {_SAVE_AS}, without transparency")


def _mask_levels(image: Image.Image, path: str | os.PathLike) -> Shaped[np.ndarray, "height width"]:
    _check_opaque(image, path)
    if image.mode != "P" and len(image.getbands()) == 1:
        return np.array(image)
    colours = np.asarray(image.convert("RGB"))
    coloured = (colours != colours[..., :1]).any(-1)
    if coloured.any():
        example = tuple(colours[coloured][0].tolist())
        raise InputError(f"mask {path} has coloured pixels such as {example}, expected 0 and 255: {_SAVE_AS}")
    return colours[..., 0]


def _value_set(levels: Shaped[np.ndarray, "height width"]) -> str:
    values = [str(value) for value in np.unique(levels).tolist()]
    return "{" + ", ".join(values[:6] + ["..."] * (len(values) > 6)) + "}"


def size_text(shape: tuple[int, ...]) -> str:
    """Width x height, as people write it, of an array [height, width, ...]."""
    return f"{shape[1]} x {shape[0]}"
