"""Which photographs to predict on, and how maps get back to the photograph's size.

io/images.py reads a photograph, data/sizes.py chooses the size of the analysis.
"""

import fnmatch
import glob
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from spotrust_jax.errors import InputError
from spotrust_jax.io.image_files import (
    IMAGE_EXTENSIONS,
    distinct_names,
    files_below,
    is_photograph,
    without_originals,
)
from spotrust_jax.io.images import read_image, resize_image
from spotrust_jax.io.written_files import without_written


class Photograph(NamedTuple):
    """A file and the stem of its outputs: folders below the input are kept, the extension is not."""

    path: Path
    stem: PurePosixPath


class Images:
    """The photographs that `list_photographs` finds, by name, read one by one as often as they are asked for."""

    def __init__(self, pattern: str):
        self._photographs = list_photographs(pattern)

    def __len__(self) -> int:
        return len(self._photographs)

    def __iter__(self) -> Iterator[tuple[str, UInt8[np.ndarray, "height width 3"]]]:
        return ((str(one.stem), read_image(one.path)) for one in self._photographs)


def list_photographs(pattern: str) -> list[Photograph]:
    """List the photographs that a file, a folder (with all folders below it) or a glob (`**` too) stands for, sorted.

    In folders and globs hidden files and what is no photograph by its extension are left out; a photograph of a kind
    that is not read is listed, so that reading it says so, unless one of the same stem that is read lies beside it.
    Links to folders are followed, none of them twice. Stems are relative to the folder, or to the part of the glob
    before its first wildcard. Two files that would have one stem keep their extensions. An `InputError` says where
    nothing was found. What an earlier run wrote is no photograph, wherever it lies.
    """
    if pattern and os.path.isdir(pattern):
        root, files = Path(pattern), _photographs_below(Path(pattern))
    elif os.path.lexists(pattern):
        root, files = Path(pattern).parent, [Path(pattern)]
    elif glob.escape(pattern) != pattern:
        root = _fixed_part(pattern)
        files = _photographs_matching(root, Path(pattern))
    else:
        raise InputError(f"input {pattern!r} does not exist: name a file, a folder or a glob")
    if not files:
        extensions = ", ".join(sorted(IMAGE_EXTENSIONS))
        raise InputError(f"input {pattern!r} has no photographs: expected files that end in {extensions}")
    files = without_written(files)
    if not files:
        remedy = "name a folder of photographs"
        raise InputError(f"input {pattern!r} has no photographs, only what an earlier run wrote: {remedy}")
    stems = distinct_stems([PurePosixPath(file.relative_to(root).as_posix()) for file in files])
    return [Photograph(file, stem) for file, stem in zip(files, stems, strict=True)]


def fit_image(image: UInt8[np.ndarray, "_ _ 3"], shape: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Resize a photograph to the height and width that `inference_shape` gave."""
    return resize_image(image, *shape)


def restore_map(values: Float32[np.ndarray, "_ _"], height: int, width: int) -> Float32[np.ndarray, "{height} {width}"]:
    """Resize a map to the photograph's size by bilinear interpolation, antialiased where it shrinks."""
    return values if values.shape == (height, width) else restore_rows(values, height, width, slice(0, height))


def restore_rows(
    values: Float32[np.ndarray, "_ _"], height: int, width: int, rows: slice
) -> Float32[np.ndarray, "_ {width}"]:
    """Some rows of what `restore_map` gives, from those rows of the map alone that they depend on."""
    if values.shape == (height, width):
        return values[rows]
    source, cells = values.shape[0], values.shape[0] / height
    reach = math.ceil(max(1.0, cells)) + 1  # rows of the map above and below that bear on a row of the photograph
    first = max(0, math.floor(rows.start * cells) - reach)
    last = min(source, math.ceil(rows.stop * cells) + reach)
    box = (0, rows.start * cells - first, values.shape[1], rows.stop * cells - first)
    size = (width, rows.stop - rows.start)
    part = Image.fromarray(np.ascontiguousarray(values[first:last]))
    return np.array(part.resize(size, Image.Resampling.BILINEAR, box=box))


def _photographs_below(root: Path) -> list[Path]:
    """Photographs in all folders that are not hidden.

    A folder that may not be read is listed like a photograph that cannot be, so that it is reported and the others
    are not lost.
    """
    refused: list[Path] = []
    files = files_below(root, is_photograph, lambda error: refused.append(Path(error.filename)))
    if root in refused:
        raise InputError(f"input {str(root)!r} cannot be read: check its permissions")
    return sorted(without_originals(files) + refused)


def _photographs_matching(root: Path, pattern: Path) -> list[Path]:
    """Photographs that a glob means; with `**` they are looked for as in a folder, as links may run in circles."""
    wanted = pattern.parts[len(root.parts) :]
    if "**" not in wanted:
        found = [Path(name) for name in glob.glob(str(pattern)) if not os.path.isdir(name)]
        return sorted(without_originals(file for file in found if is_photograph(file.name)))
    wanted += ("*",) if wanted[-1] == "**" else ()
    files = _photographs_below(root) if root.is_dir() else []
    return [file for file in files if _matches(file.parts[len(root.parts) :], wanted)]


def _matches(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a path, in parts, is one that a glob means, in parts; `**` is any number of folders, also none."""
    if not (parts and wanted):
        return not (parts or wanted)
    if wanted[0] == "**":
        return any(_matches(parts[start:], wanted[1:]) for start in range(len(parts)))
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and _matches(parts[1:], wanted[1:])


def _fixed_part(pattern: str) -> Path:
    fixed = Path()
    for part in Path(pattern).parts:
        if glob.escape(part) != part:
            break
        fixed /= part
    return fixed


def distinct_stems(files: list[PurePosixPath]) -> list[PurePosixPath]:
    """The paths without extensions where that leaves all of them distinct."""
    names = distinct_names([str(file.with_suffix("")) for file in files], [str(file) for file in files])
    return [PurePosixPath(name) for name in names]
