"""What a report and its tables need of a photograph, found window by window and kept until all photographs are done."""

import dataclasses
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.errors import InputError
from spotrust_jax.inference.area_interval import AreaInterval, why_no_draws
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import atomic_file, write_atomically
from spotrust_jax.io.regular_files import read_text
from spotrust_jax.io.streamed_files import on_disk, windows
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.outputs.geography import read_place
from spotrust_jax.outputs.map_files import Result, beside
from spotrust_jax.outputs.region_tables import Region, compressed_regions, region_lines, write_geojson
from spotrust_jax.outputs.regions import Regions, find_regions
from spotrust_jax.outputs.rendering import display_range, small_photograph
from spotrust_jax.outputs.scale_marker import SMALLEST, marker_side
from spotrust_jax.outputs.summary import Row
from spotrust_jax.report import preview
from spotrust_jax.report.levels import Steps, epistemic_levels, joint_counts, probability_levels, slider_steps, sparse
from spotrust_jax.report.scripts import FOLDER, write_detail

# Regions that a page lists; the tables have all of them.
_SHOWN_REGIONS = 50
# Pixels from which labels of regions lie on disk.
_LARGE = 32_000_000


class Scale(NamedTuple):
    """Millimetres for each pixel, where they are known, and what there is to be said of them."""

    millimetres: float | None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Survey:
    """What is asked about photographs beyond their maps.

    Attributes:
        area_draws: draws for the area's credible interval, 0 for none.
        millimetres_per_pixel: scale of all photographs, where it is known.
        marker_millimetres: side of the ArUco markers that show the scale, where there are any.
        smallest_pixels: smaller regions are left out of tables and report.
        smallest_square_millimetres: the same by size, of photographs whose scale is known.
    """

    area_draws: int = 0
    millimetres_per_pixel: float | None = None
    marker_millimetres: float | None = None
    smallest_pixels: int = 1
    smallest_square_millimetres: float = 0.0

    def scale(self, image: UInt8[np.ndarray, "height width 3"]) -> Scale:
        """That of a photograph; a marker goes before the common one."""
        side = None if self.marker_millimetres is None else marker_side(image)
        if side is None:
            return Scale(self.millimetres_per_pixel)
        small = f"the marker is {side:.0f} pixels wide, below {SMALLEST} areas may be off by some percent: go nearer"
        return Scale(self.marker_millimetres / side, small if side < SMALLEST else "")

    def smallest(self, millimetres: float | None) -> int:
        """Pixels of the smallest region that counts."""
        by_size = 0 if millimetres is None else math.ceil(self.smallest_square_millimetres / millimetres**2 - 1e-9)
        return max(1, self.smallest_pixels, by_size)


def write_survey(
    survey: Survey,
    config: CheckpointConfig,
    output: Path,
    photograph: Photograph,
    row: Row,
    result: Result,
) -> tuple[Row, list[Path]]:
    """Writes STEM_regions.geojson and the parts of the report, and returns the completed row and the files.

    Args:
        survey: what is asked.
        config: of the model.
        output: folder of the maps.
        photograph: where it comes from.
        row: its line, with the figures of its maps.
        result: the maps, with entropy and mutual information.
    """
    small = small_photograph(result.image)
    millimetres, note = survey.scale(result.image)
    regions = _regions(result, survey.smallest(millimetres), output)
    lines = region_lines(regions, millimetres)
    stem = str(photograph.stem)
    place = read_place(photograph.path)
    write_geojson(geojson_file(output, stem), regions.labels, lines, place)
    row = dataclasses.replace(
        _completed(row, millimetres, len(lines)), expected_missed_fraction=expected_missed_fraction(result)
    )
    row = _with_interval(row, config, result.interval)
    row = dataclasses.replace(row, scale_note=note, position_note=place.note)
    if place.position is not None:
        row = dataclasses.replace(row, **dataclasses.asdict(place.position))
    _write_parts(output, photograph, row, result, small, lines, regions)
    return row, survey_files(output, stem)


def survey_files(output: Path, outputs: str) -> list[Path]:
    """All files that `write_survey` writes of a photograph."""
    places = geojson_file, detail_part, regions_part, thumbnail_part
    return [place(output, outputs) for place in places]


def geojson_file(output: Path, outputs: str) -> Path:
    """Where the regions of a photograph are for other programs, by the stem of its maps."""
    return beside(output / outputs, "_regions.geojson")


def regions_part(output: Path, outputs: str) -> Path:
    """Where the regions of a photograph are kept, by the stem of its maps."""
    return beside(output / FOLDER / outputs, ".regions.json")


def detail_part(output: Path, outputs: str) -> Path:
    """Where what the page shows of a photograph is kept."""
    return beside(output / FOLDER / outputs, ".js")


def thumbnail_part(output: Path, outputs: str) -> Path:
    """Where its small picture is kept."""
    return beside(output / FOLDER / outputs, ".jpg")


def read_regions(output: Path, outputs: str) -> tuple[list[Region], list[str]]:
    """The regions of a photograph and their run lengths."""
    path = regions_part(output, outputs)
    try:
        part = json.loads(read_text(path))
        return [Region(*values) for values in part["regions"]], part["runs"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} of an earlier run is damaged ({error!r}): run again with --overwrite") from error


def _regions(result: Result, smallest: int, output: Path) -> Regions:
    height, width = shape = result.image.shape[:2]
    labels = on_disk(output, shape, np.int32) if height * width > _LARGE else np.zeros(shape, np.int32)
    return find_regions(result.rows, labels, result.threshold, smallest=smallest)


def _completed(row: Row, millimetres: float | None, found: int) -> Row:
    corroded = None if millimetres is None else row.corroded_fraction * row.height * row.width * millimetres**2
    return dataclasses.replace(
        row,
        regions=found,
        millimetres_per_pixel=millimetres,
        corroded_square_millimetres=corroded,
    )


def _with_interval(row: Row, config: CheckpointConfig, interval: AreaInterval | None) -> Row:
    if interval is None:
        reason = why_no_draws(config) or "the maps' own passes average out over an area: --area_draws=200"
        return dataclasses.replace(row, area_note=reason)
    note = "" if variant_of(config.model).stochastic else "range of the members, which are few draws"
    return dataclasses.replace(
        row, area_low=interval.low, area_high=interval.high, area_draws=interval.draws, area_note=note
    )


def _write_parts(
    output: Path,
    photograph: Photograph,
    row: Row,
    result: Result,
    small: UInt8[np.ndarray, "height width 3"],
    lines: list[Region],
    regions: Regions,
) -> None:
    steps = slider_steps(result.threshold)
    counts, shown, aleatoric = _levels(result, steps)
    threshold = np.searchsorted(steps.probability, np.float32(result.threshold))
    stem = str(photograph.stem)
    detail = {
        "outputs": row.outputs,
        "size": [row.height, row.width],
        "map_size": list(shown.shape[:2]),
        "photograph": preview.data_url(preview.jpeg(small)),
        "levels": preview.data_url(preview.png(shown)),
        "aleatoric": aleatoric,
        "counts": sparse(counts),
        "regions": [line._asdict() for line in lines[:_SHOWN_REGIONS]],
    }
    write_detail(detail_part(output, stem), detail)
    part = {"regions": lines, "runs": compressed_regions(regions)}
    write_atomically(regions_part(output, stem), json.dumps(part))
    with atomic_file(thumbnail_part(output, stem)) as partial:
        partial.write_bytes(preview.thumbnail(small, shown[..., 0] > threshold))


def expected_missed_fraction(result: Result) -> float:
    """Share of the photograph that is expected to be corrosion outside of the mask: calibrated probability that misses
    the threshold, mean over all pixels."""
    height, width = result.image.shape[:2]
    missed = 0.0
    for window in windows(height, width):
        probability = result.rows("probability", window)
        missed += float(probability[probability < result.threshold].sum(dtype=np.float64))
    return missed / (height * width)


def _levels(
    result: Result, steps: Steps
) -> tuple[Int64[np.ndarray, "levels cut_offs"], UInt8[np.ndarray, "height width 3"], list[float]]:
    """Pixels by level, the levels of the pixels that are shown, and the range of the third one, the aleatoric."""
    height, width = result.image.shape[:2]
    rows, columns = preview.map_places(height, width)
    lower, upper = display_range(result.prediction.log_variance[::2, ::2])
    shown, counts = np.empty((len(rows), len(columns), 3), np.uint8), None
    for window in windows(height, width):
        values = [result.rows(name, window) for name in ("probability", "epistemic", "log_variance")]
        levels = probability_levels(values[0], steps), epistemic_levels(values[1], steps)
        here = joint_counts(*levels, steps)
        counts = here if counts is None else counts + here
        places = slice(*np.searchsorted(rows, [window.start, window.stop]))
        taken = np.ix_(rows[places] - window.start, columns)
        scaled = np.clip((values[2][taken] - lower) / (upper - lower), 0, 1)
        shown[places] = np.stack([levels[0][taken], levels[1][taken], np.rint(255 * scaled)], axis=-1)
    return counts, shown, [lower, upper]
