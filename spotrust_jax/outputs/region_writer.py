"""The corroded regions of what is judged: a GeoJSON for each photograph, and at the end a CSV and a COCO data set."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.regular_files import read_text
from spotrust_jax.io.streamed_files import on_disk
from spotrust_jax.outputs.geography import Place, read_place
from spotrust_jax.outputs.map_files import Result, beside
from spotrust_jax.outputs.region_tables import (
    Region,
    compressed_regions,
    region_lines,
    write_coco,
    write_csv,
    write_geojson,
)
from spotrust_jax.outputs.regions import Regions, find_regions, label_places
from spotrust_jax.outputs.scale_marker import SMALLEST, marker_side
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.writers import Run

PARTS = ".report"
"""Hidden folder, in the output folder, of what is kept of each photograph until the end of the run."""

NUMBERED = 50
"""The largest regions of a photograph, of which it is kept where a number can stand in the picture."""

# Pixels from which labels of regions lie on disk.
_LARGE = 32_000_000


class GroundScale(NamedTuple):
    """Millimetres for each pixel, where they are known, and what there is to be said of them."""

    millimetres: float | None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class RegionWriter:
    """Tables of connected corroded regions.

    Attributes:
        millimetres_per_pixel: scale of all photographs, where it is known.
        marker_millimetres: side of the ArUco markers that show the scale, where there are any.
        smallest_pixels: smaller regions are left out.
        smallest_square_millimetres: the same by size, of photographs whose scale is known.
    """

    millimetres_per_pixel: float | None = None
    marker_millimetres: float | None = None
    smallest_pixels: int = 1
    smallest_square_millimetres: float = 0.0

    @property
    def settings(self) -> Mapping[str, Any]:
        """All attributes."""
        return dataclasses.asdict(self)

    def photograph_files(self, output: Path, photograph: Photograph) -> list[Path]:
        """STEM_regions.geojson, and the regions kept for the tables."""
        stem = str(photograph.stem)
        return [_geojson(output, stem), _part(output, stem)]

    def write(self, output: Path, photograph: Photograph, row: Row, result: Result) -> Row:
        """Finds the regions; the row has their number, the scale, the corroded area and the camera's position."""
        stem = str(photograph.stem)
        scale = self.scale(result.image)
        regions = _regions(result, self.smallest(scale.millimetres), output)
        lines = region_lines(regions, scale.millimetres)
        place = read_place(photograph.path)
        write_geojson(_geojson(output, stem), regions.labels, lines, place)
        places = label_places(regions, NUMBERED)
        part = {"regions": lines, "runs": compressed_regions(regions), "places": places}
        _part(output, stem).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_part(output, stem), json.dumps(part))
        return _completed(row, scale, place, len(lines))

    def run_files(self, output: Path, suffix: str) -> list[Path]:
        """The tables of the run."""
        return [output / f"regions{suffix}.csv", output / f"regions_coco{suffix}.json"]

    def finish(self, run: Run) -> None:
        """Writes the tables of the run from what was kept of each photograph, one after the other."""
        table, coco = self.run_files(run.output, run.suffix)
        write_csv(table, ((row, read_regions(run.output, row.outputs)[0]) for row in run.analysed))
        write_coco(coco, ((row, *read_regions(run.output, row.outputs)) for row in run.analysed))

    def scale(self, image: UInt8[np.ndarray, "height width 3"]) -> GroundScale:
        """That of a photograph; a marker goes before the common one."""
        side = None if self.marker_millimetres is None else marker_side(image)
        if side is None or self.marker_millimetres is None:
            return GroundScale(self.millimetres_per_pixel)
        small = f"the marker is {side:.0f} pixels wide, below {SMALLEST} areas may be off by some percent: go nearer"
        return GroundScale(self.marker_millimetres / side, small if side < SMALLEST else "")

    def smallest(self, millimetres: float | None) -> int:
        """Pixels of the smallest region that counts."""
        by_size = 0 if millimetres is None else math.ceil(self.smallest_square_millimetres / millimetres**2 - 1e-9)
        return max(1, self.smallest_pixels, by_size)


def read_regions(output: Path, stem: str) -> tuple[list[Region], list[str]]:
    """The regions of a photograph and their run lengths, as they were kept.

    Raises:
        InputError: where they are damaged or not there.
    """
    return _read(output, stem, lambda part: ([Region(*values) for values in part["regions"]], part["runs"]))


def read_label_places(output: Path, stem: str) -> list[tuple[int, int]]:
    """Row and column where the number of each of the `NUMBERED` largest regions can stand.

    Raises:
        InputError: where they are damaged or not there.
    """
    return _read(output, stem, lambda part: [(int(row), int(column)) for row, column in part["places"]])


def _read(output: Path, stem: str, take: Callable[[dict], Any]) -> Any:
    path = _part(output, stem)
    try:
        return take(json.loads(read_text(path)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} of an earlier run is damaged ({error!r}): run again with --overwrite") from error


def _geojson(output: Path, stem: str) -> Path:
    return beside(output / stem, "_regions.geojson")


def _part(output: Path, stem: str) -> Path:
    return beside(output / PARTS / stem, ".regions.json")


def _regions(result: Result, smallest: int, output: Path) -> Regions:
    height, width = shape = result.image.shape[:2]
    labels = on_disk(output, shape, np.int32) if height * width > _LARGE else np.zeros(shape, np.int32)

    def rows(name: str, window: slice) -> Float32[np.ndarray, "rows width"]:
        """Of a map, below every threshold where the photograph is not judged."""
        values = result.rows(name, window)
        return values if result.judged is None else np.where(result.judged[window], values, np.float32(-1))

    return find_regions(rows, labels, result.threshold, smallest=smallest)


def _completed(row: Row, scale: GroundScale, place: Place, found: int) -> Row:
    corroded = row.corroded_fraction * row.judged_pixels
    position = {} if place.position is None else dataclasses.asdict(place.position)
    return dataclasses.replace(
        row,
        regions=found,
        millimetres_per_pixel=scale.millimetres,
        corroded_square_millimetres=None if scale.millimetres is None else corroded * scale.millimetres**2,
        scale_note=scale.note,
        position_note=place.note,
        **position,
    )
