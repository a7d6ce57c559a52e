"""What the readers of images refuse, and in which words."""

import os

from spotrust_jax.errors import InputError

# A photograph enlarged five times has 58 as JPEG of the lowest quality and 124 as WebP; one colour has 270 as PNG.
_BLANK_PIXELS_PER_BYTE = 200
BLANK_PIXELS = 50_000_000
"""Below, a blank picture does no harm."""

COPY_AGAIN = "copy it again or convert it to PNG"
"""What to do about a damaged file."""


class TooLargeError(InputError):
    """An image of more pixels than may be decoded.

    Attributes:
        size: how many, in words.
        claim: what there is to say of a file that is too small for them, otherwise nothing.
    """

    def __init__(self, name: str, size: str, max_pixels: int, claim: str):
        super().__init__(f"{name} has {size}, more than {max_pixels:,}: save it smaller or cut it into parts")
        self.size, self.claim = size, claim


def damaged(kind: str, path: str | os.PathLike) -> InputError:
    """What there is to say of a file that nothing can open."""
    return InputError(f"{kind} {path} is damaged or not a JPEG, PNG, TIFF, BMP or WebP image: {COPY_AGAIN}")


def check_size(kind: str, path: str | os.PathLike, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse by width and height in the header alone; Pillow itself refuses an image without pixels."""
    width, height = size
    pixels, stored = width * height, os.path.getsize(path)
    shown = f"{width} x {height} = {pixels:,} pixels"
    blank = pixels > _BLANK_PIXELS_PER_BYTE * stored
    claim = f"{kind} {path} claims {shown} in {stored:,} bytes: it is blank or made to fill the memory, remove it"
    if pixels > max_pixels:
        raise TooLargeError(f"{kind} {path}", shown, max_pixels, claim if blank else "")
    if kind == "photograph" and blank and pixels > BLANK_PIXELS:
        raise InputError(claim)
