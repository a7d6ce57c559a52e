"""Photographs and masks from single files, and their resizing.

Which files belong together is folder.py's business, which photographs to predict on inference/photographs.py's.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from spotrust_jax.errors import InputError

MAX_PIXELS = 500_000_000

# Only formats that photographs and masks come in: Pillow would start Ghostscript for a file that is PostScript.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000")

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

    Greyscale, 1-bit, palette and CMYK become RGB without regard to colour profiles; transparency is laid on white, as
    viewers and browsers show it; 16 bits are scaled to 8. Of several pages or frames the first is read. A file that is
    missing, damaged, no image, of floating-point values, or larger than `max_pixels` is an `InputError`.
    """
    with _opened("photograph", path, max_pixels) as image:
        if image.mode == "F":
            raise InputError(f"photograph {path} has floating-point values of unknown range: save it with 8 or 16 bits")
        image.load()
        turn = _UPRIGHT.get(orientation(image))
        rgb = to_rgb(image, path)
        return np.array(rgb if turn is None else rgb.transpose(turn))


def count_pixels(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> int:
    """Pixels of a photograph by its header alone; errors as of `read_image` where the header shows them."""
    with _opened("photograph", path, max_pixels) as image:
        return image.width * image.height


def read_mask(path: str | os.PathLike) -> Bool[np.ndarray, "height width"]:
    """Read a mask, true where there is corrosion.

    The file has one channel, one bit, a palette, or three equal channels, and the values 0 (background) and 255
    (corrosion) or, with one bit, 0 and 1. Anything else is an `InputError`, as is what `read_image` refuses. Labels are
    drawn on the photograph as shown, so an EXIF orientation in the mask is ignored (a TIFF's own tag is not).
    """
    with _opened("mask", path, MAX_PIXELS) as image:
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
    # Pillow's own conversion is faster than its import of a float array.
    levels = Image.fromarray(mask.astype(np.uint8)).convert("F")
    coverage = levels.resize((width, height), Image.Resampling.BOX)
    return np.asarray(coverage) > 0.5 - 1e-5  # a tie must not be decided by rounding


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
        with without_pillow_limit, Image.open(path, formats=_FORMATS) as image:
            _check_size(kind, path, image, max_pixels)
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{kind} {path} does not exist: check the path") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"{kind} {path} cannot be opened ({error.strerror}): check path and permissions") from error
    except UnidentifiedImageError as error:
        problem = "is damaged or not a JPEG, PNG, TIFF, BMP or WebP image" if os.path.getsize(path) else "is empty"
        raise InputError(f"{kind} {path} {problem}: copy it again or convert it to PNG") from error
    except MemoryError as error:
        raise InputError(f"{kind} {path} does not fit into memory: save it smaller") from error
    except Exception as error:  # on damaged files Pillow's readers raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{kind} {path} cannot be decoded ({reason}): copy it again or convert it to PNG") from error


def _check_size(kind: str, path: str | os.PathLike, image: Image.Image, max_pixels: int) -> None:
    """Refuse by the header alone; Pillow itself refuses an image without pixels."""
    width, height = image.size
    if width * height > max_pixels:
        size = f"{width} x {height} = {width * height:,} pixels"
        raise InputError(f"{kind} {path} has {size}, more than {max_pixels:,}: save it smaller or cut it into parts")


def orientation(image: Image.Image) -> object:
    """The EXIF orientation, 1 to 8 in a sound file; damaged metadata are no reason to lose the photograph."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as above, nearly anything
        return 1


def to_rgb(image: Image.Image, path: str | os.PathLike) -> Image.Image:
    """Any photograph as 8-bit RGB, as `read_image` describes; `path` is for its errors."""
    if image.mode.startswith("I"):
        return Image.fromarray(_to_eight_bits(image, path)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image, path: str | os.PathLike) -> UInt8[np.ndarray, "height width"]:
    """Greyscale of 12 or 16 bits, which Pillow gives raw. Mode "I" is 16 bits in a wider type, or no photograph."""
    levels = np.asarray(image)
    if image.mode == "I" and (levels.min() < 0 or levels.max() > 65535):
        values = f"{levels.min()} to {levels.max()}"
        raise InputError(f"photograph {path} has 32-bit values from {values}: save it with 8 or 16 bits")
    tags = image.tag_v2 if image.format == "TIFF" else {}
    white = 4095 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 65535
    grey = ((levels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
    return 255 - grey if white_is_zero else grey


def _check_opaque(image: Image.Image, path: str | os.PathLike) -> None:
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
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
