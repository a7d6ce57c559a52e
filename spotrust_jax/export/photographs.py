"""Reads photographs as the model sees them, and brings its maps back to their size. Needs numpy and Pillow alone.

Every bundle has a copy of this file. Photographs of 8 bits become what the library makes of them, to the last bit.
"""

import io
import math
import os

import numpy as np
from PIL import Image, ImageCms, ImageOps

_CELL = 32  # pixels; sides are multiples of it
# Short over long side of the shapes in which the model sees photographs; slimmer ones keep their own.
_FORMATS, _SLIMMEST = (1.0, 3 / 4, 2 / 3, 9 / 16), (9 / 16 / 2) ** 0.5


def read(path: str | os.PathLike) -> np.ndarray:
    """A photograph as uint8 [height, width, 3]: upright as its EXIF says, in sRGB, transparency on white."""
    with Image.open(path) as file:
        profile = file.info.get("icc_profile")
        image = ImageOps.exif_transpose(file)
    if not image.has_transparency_data:
        return np.array(_in_srgb(image, profile))
    image = image.convert("RGBA")
    opaque = _in_srgb(image.convert("RGB"), profile)
    opaque.putalpha(image.getchannel("A"))
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), opaque).convert("RGB"))


def fitted(image: np.ndarray, long_side: int) -> np.ndarray:
    """A photograph at the size at which the model sees it: about `long_side` pixels long, in nearly its own shape."""
    height, width = image.shape[:2]
    ratio = min(height, width) / max(height, width)
    if ratio >= _SLIMMEST:
        ratio = min(_FORMATS, key=lambda known: abs(math.log(known / ratio)))
    long, short = (max(1, math.floor(side / _CELL + 0.5)) * _CELL for side in (long_side, long_side * ratio))
    size = (long, short) if height < width else (short, long)
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def restored(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map at the size of the photograph."""
    return np.array(Image.fromarray(np.asarray(values)).resize((width, height), Image.Resampling.BILINEAR))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    mode = image.mode if image.mode in ("L", "RGB", "CMYK") else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        if "sRGB" not in ImageCms.getProfileDescription(source):
            intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
            target = ImageCms.createProfile("sRGB")
            transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)
            return transform.apply(image.convert(mode))
    except (ImageCms.PyCMSError, OSError, ValueError):  # no profile, or one that is damaged
        pass
    return image.convert("RGB")
