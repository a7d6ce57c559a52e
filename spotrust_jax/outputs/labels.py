"""Predictions as labels that a person corrects in labelme and `prepare_data` reads again.

data/prepare/readers/labelme.py reads them.
"""

import dataclasses
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
from jaxtyping import Bool
from scipy import ndimage
from scipy.spatial.distance import cdist

from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import atomic_file, write_atomically
from spotrust_jax.io.images import read_image, read_label_pixels, size_text
from spotrust_jax.io.regular_files import read_text
from spotrust_jax.io.streamed_files import windows
from spotrust_jax.outputs.map_files import Result, beside
from spotrust_jax.outputs.outlines import Outline, Ring, outlines
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.writers import Run

LABEL = "corrosion"

# Pixels by which an outline may differ from the mask's: few enough points to drag, and hardly a pixel that changes.
_TOLERANCE = 0.75
_VERSION = "5.5.0"


def read_run(folder: Path) -> list[Row]:
    """The lines of the summary that `spotrust predict` wrote into a folder."""
    path = folder / "summary.json"
    try:
        rows = [Row(**record) for record in json.loads(read_text(path))]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give the --output folder of spotrust predict") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no summary of this version ({error}): run spotrust predict again") from error
    for row in rows:
        if not _is_sound(row):
            what = f"photograph {row.photograph!r} and maps {row.outputs!r}, which are no places below {folder}"
            raise InputError(f"{path} names {what}: run spotrust predict again")
    return rows


def checked_in(notes: Path) -> frozenset[str]:
    """Stems of the maps of photographs that the notes of a report mark as checked."""
    try:
        return frozenset(item["outputs"] for item in json.loads(read_text(notes))["notes"] if item["checked"])
    except FileNotFoundError:
        raise InputError(f"notes {notes} do not exist: save them in the report") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"notes {notes} are not those of a report ({error!r}): save them again") from error


def chosen_rows(rows: Sequence[Row], stems: Collection[str] | None) -> list[Row]:
    """Photographs that have maps and are among the stems, where these are given."""
    usable = [row for row in rows if row.height is not None and (stems is None or row.outputs in stems)]
    if not usable:
        what = "has maps" if stems is None else "is both marked as checked and among the run's"
        raise InputError(f"no photograph {what}: there is nothing to label")
    return usable


def write_label(predictions: Path, row: Row, output: Path, *, smallest: int = 1) -> Path:
    """Writes STEM.json of a photograph's mask and the photograph beside it, and returns the former.

    Args:
        predictions: folder of the maps.
        row: the photograph's line.
        output: folder of the labels, in which folders below the input are kept.
        smallest: pixels; smaller regions are left out.
    """
    mask = _read_mask(beside(predictions / row.outputs, "_mask.png"))
    photograph = Photograph(Path(row.photograph), PurePosixPath(row.outputs))
    _require_photograph(photograph.path, mask.shape)
    return _write(mask, photograph, output, smallest)


@dataclasses.dataclass(frozen=True)
class LabelWriter:
    """Labels of a job's photographs in the folder labels/ below that of the maps.

    Attributes:
        smallest_pixels: smaller regions are left out.
    """

    smallest_pixels: int = 1

    @property
    def settings(self) -> Mapping[str, Any]:
        """The attribute."""
        return dataclasses.asdict(self)

    def photograph_files(self, output: Path, photograph: Photograph) -> list[Path]:
        """labels/STEM.json, and the photograph beside it."""
        return [*_files(photograph, output / "labels")]

    def write(self, output: Path, photograph: Photograph, row: Row, result: Result) -> Row:
        """Writes both; the row stays as it is."""
        parts = [result.rows("probability", window) for window in windows(*result.image.shape[:2])]
        mask = np.concatenate([part >= result.threshold for part in parts])
        _write(mask, photograph, output / "labels", self.smallest_pixels)
        return row

    def run_files(self, output: Path, suffix: str) -> list[Path]:
        """None: every photograph has files of its own."""
        return []

    def finish(self, run: Run) -> None:
        """Writes nothing."""


def polygons_of(mask: Bool[np.ndarray, "height width"], smallest: int = 1) -> list[Ring]:
    """A polygon for each region of a mask, through its outermost pixels; holes are joined to the border by a slit."""
    labels, count = cast(tuple[np.ndarray, int], ndimage.label(mask))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    drawn = outlines(labels.astype(np.int32), count, inset=0.5)
    return [_slit(outline) for outline, area in zip(drawn, areas[1:].tolist(), strict=True) if area >= smallest]


def simplified(ring: Ring, tolerance: float) -> Ring:
    """Fewer corners, from whose outline none of the others is farther than the tolerance (Douglas and Peucker 1973)."""
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    closed = np.concatenate([ring, ring[:1]])
    keep = np.zeros(len(closed), bool)
    keep[[0, far]] = True
    pending = [(0, far), (far, len(ring))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        distance = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = first + 1 + int(np.argmax(distance))
        if distance.max() > tolerance:
            keep[worst] = True
            pending += [(first, worst), (worst, last)]
    return ring[keep[:-1]]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From points to the line between two."""
    along = end - start
    length = float(np.dot(along, along))
    share = np.clip((points - start) @ along / length, 0, 1) if length else np.zeros(len(points))
    return np.hypot(*(points - start - share[:, None] * along).T)


def _files(photograph: Photograph, output: Path) -> tuple[Path, Path]:
    """The label, and the photograph beside it."""
    stem, extension = photograph.stem, photograph.path.suffix
    # The stem may have the photograph's extension where that is what distinguishes two.
    name = stem.name if stem.suffix == extension else f"{stem.name}{extension}"
    return beside(output / stem, ".json"), output / stem.parent / name


def _write(mask: Bool[np.ndarray, "height width"], photograph: Photograph, output: Path, smallest: int) -> Path:
    path, copy = _files(photograph, output)
    copy.parent.mkdir(parents=True, exist_ok=True)
    _copy(photograph.path, copy)
    shapes = [_shape(polygon) for polygon in polygons_of(mask, smallest)]
    image = {"imagePath": copy.name, "imageData": None, "imageHeight": mask.shape[0], "imageWidth": mask.shape[1]}
    document = {"version": _VERSION, "flags": {}, "shapes": shapes, **image}
    write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False))
    return path


def _slit(outline: Outline) -> Ring:
    """One ring that goes along the exterior and, there and back on the shortest way, around each hole."""
    joined = _reduced(outline.exterior)
    holes = sorted(map(_reduced, outline.holes), key=lambda hole: cdist(hole, joined).min())
    for hole in holes:
        here, there = np.unravel_index(np.argmin(cdist(joined, hole)), (len(joined), len(hole)))
        around = np.roll(hole, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], around, around[:1], joined[here:]])
    return joined


def _reduced(ring: Ring) -> Ring:
    """What is too small to lose corners, such as a single pixel, keeps them all."""
    fewer = simplified(ring, _TOLERANCE)
    return fewer if len(fewer) >= 3 else ring


def _shape(polygon: Ring) -> dict:
    points = polygon.round(2).tolist()
    return {"label": LABEL, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}


def _read_mask(path: Path) -> Bool[np.ndarray, "height width"]:
    """Whatever colour corrosion has in it, the rest is black."""
    values = read_label_pixels(path).values
    return np.asarray(values.any(axis=-1)) if values.ndim == 3 else values.astype(bool)


def _is_sound(row: Row) -> bool:
    """Whether a line is one that a run may have written: a summary may come from anybody, and its paths are used."""
    texts = isinstance(row.photograph, str) and isinstance(row.outputs, str)
    if (
        not texts
        or not isinstance(row.height, int | None)
        or not isinstance(row.width, int | None)
        or "\0" in row.photograph + row.outputs
    ):
        return False
    place = PurePosixPath(row.outputs)
    return bool(place.name) and not place.is_absolute() and ".." not in place.parts


def _require_photograph(source: Path, shape: tuple[int, int]) -> None:
    """Raises an `InputError` unless a file is the photograph of a mask: any other would be copied to whoever asks."""
    try:
        if source.is_file():
            seen = read_image(source).shape[:2]
        else:
            raise InputError("there is no such file")
    except InputError as error:
        remedy = "put it back where it was predicted from"
        raise InputError(f"photograph {source} cannot be copied ({error}): {remedy}") from error
    if seen != shape:
        sizes = f"{size_text(seen)} pixels and its mask {size_text(shape)}"
        raise InputError(f"photograph {source} has {sizes}: run spotrust predict again")


def _copy(source: Path, target: Path) -> None:
    try:
        with atomic_file(target) as partial:
            shutil.copyfile(source, partial)
    except OSError as error:
        remedy = "put it back where it was predicted from"
        raise InputError(f"photograph {source} cannot be copied ({error.strerror}): {remedy}") from error
