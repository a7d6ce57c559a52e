"""Pictures and masks within JSON: labelme's base64, and the run lengths of Label Studio's brush."""

import base64
import binascii
import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from spotrust_jax.data.prepare.readers.json_labels import json_object
from spotrust_jax.data.prepare.source import LabelledPhotograph, UnusableError
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import count_pixels, read_image

_CHANNELS = 4  # of a brush: red, green, blue, and the one that counts


class EmbeddedPhotograph(LabelledPhotograph):
    """A photograph that labelme stored within its JSON, which is its `image`."""

    def read(self, max_pixels: int) -> UInt8[np.ndarray, "height width 3"]:
        """The photograph upright, as `images.read_image` gives it, and with its errors."""
        with _copied(self.image) as file:
            try:
                return read_image(file.name, max_pixels=max_pixels)
            except InputError as error:
                reason = str(error).replace(f"photograph {file.name}", f"imageData in {self.image}")
                raise UnusableError("unreadable_image", reason) from error


def stores_image(path: Path) -> bool:
    """Whether a JSON file of labelme stores a photograph, by that one's header."""
    try:
        with _copied(path) as file:
            return count_pixels(file.name) > 0
    except InputError:
        return False


def embedded_mask(encoded: str, height: int, width: int, file: str) -> Bool[np.ndarray, "{height} {width}"]:
    """A mask that labelme stored as base64 in `file`, true where it is not 0; an `UnusableError` where it is none."""
    try:
        with Image.open(io.BytesIO(_decoded(encoded, file, "mask")), formats=("PNG", "JPEG", "BMP", "TIFF")) as image:
            if (image.height, image.width) != (height, width) or len(image.getbands()) != 1:
                raise ValueError(
                    f"it has {image.width} x {image.height} pixels, its corners are {width} x {height} apart"
                )
            return np.array(image).astype(bool)
    except InputError:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{file} has a mask that cannot be read ({reason}): draw it again"
        raise UnusableError("unreadable_label", message) from error


def painted(runs: bytes, height: int, width: int, file: str) -> Bool[np.ndarray, "{height} {width}"]:
    """What a brush of Label Studio painted, true where it is not transparent; `file` is named in errors.

    The bits are those of thi.ng/rle-pack: 32 of the number of values, 5 of a value's size less one, four times 4 of a
    run's size less one. Then come runs: one bit whether all values are equal, 2 of which size the run's length has, the
    length less one, and the value or values. Red, green, blue and opacity follow each other for each pixel.
    """
    bits = _Bits(runs)
    try:
        count, value_size = bits.take(32), bits.take(5) + 1
        if count != _CHANNELS * height * width:
            raise ValueError(f"they are of {count} values")
        run_sizes = [bits.take(4) + 1 for _ in range(4)]
        values = np.empty(count, np.uint8 if value_size <= 8 else np.uint32)
        at = 0
        while at < count:
            equal = bits.take(1)
            length = bits.take(run_sizes[bits.take(2)]) + 1
            if at + length > count:
                raise ValueError("they are longer than the photograph")
            values[at : at + length] = bits.take(value_size) if equal else bits.take_many(value_size, length)
            at += length
    except ValueError as error:
        reason = f"has a brush whose run lengths do not fit {width} x {height} pixels ({error})"
        raise UnusableError("unreadable_label", f"{file} {reason}: export the label again") from error
    return values.reshape(height, width, _CHANNELS)[..., -1] > 0


class _Bits:
    """Numbers from a sequence of bits, the highest first; a `ValueError` at its end."""

    def __init__(self, content: bytes):
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        self._at = 0

    def take(self, size: int) -> int:
        return int(self.take_many(size, 1)[0])

    def take_many(self, size: int, count: int) -> np.ndarray:
        end = self._at + size * count
        if end > len(self._bits):
            raise ValueError("they end too early")
        bits = self._bits[self._at : end].reshape(count, size).astype(np.uint32)
        self._at = end
        return bits @ (np.uint32(1) << np.arange(size - 1, -1, -1, dtype=np.uint32))


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[IO[bytes]]:
    """The image that a JSON file stores in a file of its own, for as long as the block lasts."""
    encoded = json_object(path, str(path)).get("imageData")
    with tempfile.NamedTemporaryFile() as file:
        file.write(_decoded(encoded, str(path), "imageData"))
        file.flush()
        yield file


def _decoded(encoded: object, file: str, what: str) -> bytes:
    if not isinstance(encoded, str) or not encoded:
        raise UnusableError("unreadable_label", f"{file} has no {what}: save it again in labelme")
    try:
        return base64.b64decode(encoded.rpartition("base64,")[2])
    except (binascii.Error, ValueError) as error:
        raise UnusableError("unreadable_label", f"{file} has {what} that is no base64: save it again") from error
