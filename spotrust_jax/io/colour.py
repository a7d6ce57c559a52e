"""From whatever a photograph's file holds to 8-bit RGB in the colours of sRGB; files are read in images.py."""

import functools
import io
import os
import struct
from typing import Any, cast

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from spotrust_jax.errors import InputError

# ICC's name of the colours that a mode holds.
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}

# Black becomes black, as in viewers: without it, what is printed with inks would come out grey.
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def _adobe_rgb() -> bytes:
    """A profile of Adobe RGB: primaries as CIE XYZ for the white D50, and the curve's exponent (ICC.1:2001-04)."""
    xyz = {
        b"wtpt": (0.9505, 1.0, 1.0891),
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    data = {name: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * x) for x in of)) for name, of in xyz.items()}
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * 2.19921875)) + bytes(2)
    data |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    sizes = [len(content) for content in data.values()]
    starts = [128 + 4 + 12 * len(data) + sum(sizes[:place]) for place in range(len(sizes))]
    table = b"".join(struct.pack(">4sII", *entry) for entry in zip(data, starts, sizes, strict=True))
    white = struct.pack(">3i", *(round(65536 * x) for x in (0.9642, 1.0, 0.8249)))
    header = (
        struct.pack(">I4xI", starts[-1] + sizes[-1], 0x02100000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    )
    return (header + white).ljust(128, b"\0") + struct.pack(">I", len(data)) + table + b"".join(data.values())


_ADOBE_RGB = _adobe_rgb()


def to_rgb(image: Image.Image, path: str | os.PathLike) -> Image.Image:
    """Any photograph as 8-bit RGB in sRGB, as `images.read_image` describes; `path` is for its errors."""
    profile = image.info.get("icc_profile") or (_ADOBE_RGB if _says_adobe_rgb(image) else None)
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_levels(image, path))
    if not image.has_transparency_data:
        return _to_srgb(image if image.mode in _SPACES else image.convert("RGB"), profile)
    grey = image.mode in ("L", "LA", "La")
    image = image.convert("RGBA")
    opaque = _to_srgb(image.getchannel("R") if grey else image.convert("RGB"), profile)
    opaque.putalpha(image.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque).convert("RGB")


def eight_bits(
    levels: Shaped[np.ndarray, "*shape"], white: int, path: str | os.PathLike
) -> UInt8[np.ndarray, "*shape"]:
    """Whole numbers from 0 to `white`, or shares from 0 to 1, as 0 to 255.

    Raises:
        InputError: where there are others; it names `path`.
    """
    if levels.dtype == np.uint8 and white == 255:
        return levels
    low, high, shares = levels.min(), levels.max(), levels.dtype.kind == "f"
    if not (low >= 0 and high <= (1 if shares else white)):  # as they are if one is not a number
        kind = "floating-point values" if shares else f"{8 * levels.itemsize}-bit values"
        expected = ", expected 0 to 1" if shares else ""
        raise InputError(f"photograph {path} has {kind} from {low} to {high}{expected}: save it with 8 or 16 bits")
    if shares:
        return np.round(levels * 255).astype(np.uint8)
    return ((levels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)


def _says_adobe_rgb(image: Image.Image) -> bool:
    """Whether a camera says so in its EXIF data, as they do instead of embedding the profile (DCF 2.0)."""
    try:
        return image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex) == "R03"
    except Exception:  # on damaged metadata Pillow raises nearly anything
        return False


def _levels(image: Image.Image, path: str | os.PathLike) -> UInt8[np.ndarray, "height width"]:
    """Greyscale that Pillow gives raw: of 12 or 16 bits, of 16 in a wider type, or as shares."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    white = 4095 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 65535
    grey = eight_bits(np.asarray(image), white, path)
    return 255 - grey if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 else grey


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture in grey, RGB or CMYK as RGB in sRGB; a profile that is damaged, or of other colours, is ignored."""
    for mode in (image.mode, "RGB") if image.mode == "L" else (image.mode,):  # grey may have a profile of colours
        transform = _transform(profile, mode) if profile else None
        if transform is not None:
            return transform.apply(image.convert(mode))
    return image.convert("RGB")


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB; None where that changes nothing, or the profile is not of these colours."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # Pillow does not say what a profile is once it is read.
        if cast(Any, source.profile).xcolor_space.strip() != _SPACES[mode]:
            return None
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile is no reason to lose the photograph
        return None
    probe = _probe(mode)
    change = np.asarray(transform.apply(probe), np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return transform if np.abs(change).max() > 1 else None


def _probe(mode: str) -> Image.Image:
    """Every 15th level of each channel with every one of the others."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    channels = len(Image.new(mode, (1, 1)).getbands())
    grid = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), axis=-1)
    return Image.frombytes(mode, (1, grid[..., 0].size), grid.tobytes())
