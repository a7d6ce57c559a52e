"""What the browser is given of a photograph: small pictures of it and of its maps, as data in a page."""

import base64
import io

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from spotrust_jax.outputs import rendering

MAP_SIDE = 640
"""Longest side, in pixels, of the maps in a page; each of their pixels is one of the photograph's."""

_THUMBNAIL_SIDE = 320
_QUALITY = 82


def map_places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the photograph that are shown, evenly spread."""
    longest = max(height, width)
    sides = [max(1, round(side * min(1.0, MAP_SIDE / longest))) for side in (height, width)]
    rows, columns = (
        ((np.arange(shown) + 0.5) * side / shown).astype(np.int64)
        for shown, side in zip(sides, (height, width), strict=True)
    )
    return rows, columns


def thumbnail(photograph: UInt8[np.ndarray, "_ _ 3"], mask: Bool[np.ndarray, "_ _"]) -> bytes:
    """A JPEG of the photograph with corrosion tinted."""
    picture = Image.fromarray(photograph)
    picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    fitted = np.asarray(Image.fromarray(mask).resize(picture.size))
    return jpeg(rendering.overlay_picture(np.asarray(picture), fitted))


def jpeg(picture: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The bytes of a JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def png(picture: UInt8[np.ndarray, "height width *channels"]) -> bytes:
    """The bytes of a PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def data_url(content: bytes) -> str:
    """A JPEG or PNG as an address that holds it."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
