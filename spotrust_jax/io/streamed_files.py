"""PNG and map files written part by part, whatever the photograph's size.

outputs/ says what is written into them.
"""

import contextlib
import math
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import isal_zlib
from jaxtyping import Float16, Float32, UInt8, UInt16

from spotrust_jax.io.atomic_files import atomic_file

# Pixels worked on at once; most photographs are smaller.
_PIXELS_AT_ONCE = 4_000_000
# Side of the tiles of a TIFF, as viewers expect it.
_TIFF_TILE = 256

Rows = Callable[[slice], Float16[np.ndarray, "rows width"]]
"""Gives some rows of a map."""


def row_windows(height: int, rows: int) -> Iterator[slice]:
    """Slices of at most `rows` rows that together are all `height`."""
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def windows(height: int, width: int, *, multiple: int = 1) -> Iterator[slice]:
    """Windows of rows, a multiple of so many but for the last, over all of a picture's."""
    return row_windows(height, max(1, _PIXELS_AT_ONCE // width // multiple) * multiple)


class PngWriter:
    """A PNG, RGB of 8 bits or grey of 16, written from above to below.

    Pillow wants the whole picture at once, chooses among all filters in every row and takes seven times as long, for
    files of the same size.
    """

    def __init__(self, file: BinaryIO, height: int, width: int, *, grey: bool = False, description: str = ""):
        self._file, self._deflate = file, isal_zlib.compressobj(1)
        self._bytes = 2 if grey else 3
        file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *((16, 0) if grey else (8, 2)), 0, 0, 0))
        if description:
            self._chunk(b"tEXt", b"Description\0" + description.encode("latin-1"))

    def write(self, rows: UInt8[np.ndarray, "rows width 3"] | UInt16[np.ndarray, "rows width"]) -> None:
        """Appends rows, each as differences from the pixel to the left (the filter called Sub)."""
        if self._bytes == 2:
            rows = rows.astype(">u2").view(np.uint8)
        flat, pixel = rows.reshape(rows.shape[0], -1), self._bytes
        filtered = np.empty((flat.shape[0], flat.shape[1] + 1), np.uint8)
        filtered[:, 0] = 1
        filtered[:, 1 : 1 + pixel] = flat[:, :pixel]
        np.subtract(flat[:, pixel:], flat[:, :-pixel], out=filtered[:, 1 + pixel :])
        self._chunk(b"IDAT", self._deflate.compress(filtered))

    def finish(self) -> None:
        """Writes the end, once all rows are in."""
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, content: bytes) -> None:
        checksum = zlib.crc32(content, zlib.crc32(kind))
        self._file.write(struct.pack(">I", len(content)) + kind)
        self._file.write(content)
        self._file.write(struct.pack(">I", checksum))


@contextlib.contextmanager
def png(path: Path, height: int, width: int, *, grey: bool = False, description: str = "") -> Iterator[PngWriter]:
    """A PNG to write rows to, there once it is whole; `description`, in ASCII, is kept in it."""
    with atomic_file(path) as partial, partial.open("wb") as file:
        writer = PngWriter(file, height, width, grey=grey, description=description)
        yield writer
        writer.finish()


def write_npz(path: Path, maps: Mapping[str, Rows], height: int, width: int, *, noisy: Collection[str] = ()) -> None:
    """An .npz of float16 arrays, lightly compressed: zlib's usual level takes twice as long for a tenth less.

    Not so the `noisy` ones, for which Deflate would take three quarters of its time for a fifth less of their bytes.
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": (height, width)}
    with atomic_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, rows in maps.items():
            # A ZipInfo is stored unless it says otherwise; a name gets what the archive says.
            member_name = f"{name}.npy"
            entry = zipfile.ZipInfo(member_name) if name in noisy else member_name
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for window in windows(height, width):
                    member.write(np.ascontiguousarray(rows(window)).data)


def write_tiff(path: Path, maps: Mapping[str, Rows], height: int, width: int) -> None:
    """A BigTIFF of tiles, float32 with the precision of float16: one page for each map, described by its name."""
    import tifffile  # noqa: PLC0415 - a fifth of a second, for the few photographs that are so large

    with atomic_file(path) as partial, tifffile.TiffWriter(partial, bigtiff=True) as file:
        for name, rows in maps.items():
            file.write(
                _tiff_tiles(rows, height, width),
                shape=(height, width),
                dtype=np.float32,
                tile=(_TIFF_TILE, _TIFF_TILE),
                compression="zlib",
                compressionargs={"level": 1},
                maxworkers=1,
                photometric="minisblack",
                description=name,
                metadata=None,
            )


def _tiff_tiles(rows: Rows, height: int, width: int) -> Iterator[Float32[np.ndarray, "_ _"]]:
    for window in windows(height, width, multiple=_TIFF_TILE):
        band = rows(window).astype(np.float32)
        for top in range(0, band.shape[0], _TIFF_TILE):
            for left in range(0, width, _TIFF_TILE):
                yield np.ascontiguousarray(band[top : top + _TIFF_TILE, left : left + _TIFF_TILE])


def on_disk(folder: Path, shape: Sequence[int], dtype: type = np.float32) -> np.ndarray:
    """An array of zeros that lies in a nameless file in `folder`: it is gone when nobody uses it, however that ends."""
    with tempfile.TemporaryFile(dir=folder) as file:
        # A full disk must show here and not, as a crash, when the array is written to.
        os.posix_fallocate(file.fileno(), 0, math.prod(shape) * np.dtype(dtype).itemsize)
        return np.memmap(file, dtype, "w+", shape=tuple(shape))
