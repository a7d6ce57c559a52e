"""The summary of a run: one line for each photograph, as CSV and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spotrust_jax.calibration.areas import AreaCalibration, area
from spotrust_jax.inference.maps import Given
from spotrust_jax.inference.prediction import MAPS
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.csv_tables import csv_text
from spotrust_jax.metrics.masks import MASKS, scores
from spotrust_jax.outputs.map_files import Measured


@dataclasses.dataclass(frozen=True)
class _Photograph:
    """The first columns."""

    photograph: str
    outputs: str
    status: str = "ok"
    message: str = ""
    height: int | None = None
    width: int | None = None
    threshold: float | None = None
    corroded_fraction: float | None = None
    area: float | None = None
    area_low: float | None = None
    area_high: float | None = None


def _figures() -> list[str]:
    """The columns that the tables of maps and of scores give: those that are there on request come last."""
    on_request = {name: described.given is Given.DECOMPOSED for name, described in MAPS.items()}
    means = {asked: [f"mean_{name}" for name in MAPS if on_request[name] == asked] for asked in (False, True)}
    return [*means[False], *MASKS.names, *means[True]]


# Typed as any class, because its fields are known only when the program runs.
_Figures: Any = dataclasses.make_dataclass(
    "_Figures",
    [(name, float | None, dataclasses.field(default=None)) for name in _figures()],
    bases=(_Photograph,),
    frozen=True,
)


@dataclasses.dataclass(frozen=True)
class Row(_Figures):
    """A photograph's line in the summary; figures that are not known are None.

    Attributes:
        photograph: the file.
        outputs: stem of its maps, relative to the output folder.
        status: "ok", or "failed" where anything about this photograph could not be used.
        message: what went wrong, and what to do.
        height, width: pixels.
        threshold: probability from which a pixel counts as corrosion.
        corroded_fraction: share of pixels that do.
        area, area_low, area_high: estimate of the corroded share and the interval that holds it as often as the model's
            calibration says; there is no interval where the model is not calibrated for areas.
        mean_NAME: mean of each map of `MAPS`.
        the scores of masks, each under its name: against the ground truth.
        regions: connected corroded regions; this and what follows is there with a report.
        millimetres_per_pixel, corroded_square_millimetres: where the scale is known.
        sampled_area_low, sampled_area_high, sampled_areas, sampled_area_note: middle 95% of the corroded fractions in
            single samples, how many there are, and why there are none or how they are to be read. It says how far
            samples are apart, not how far all of them may be from the truth.
        expected_missed_fraction: share of the pixels that is expected to be corrosion outside of the mask: the mean of
            the probability where it is below the threshold, else 0.
        latitude, longitude, altitude: of the camera, in degrees (WGS 84) and metres.
        position_note: why there is no position or no georeference, although the file has data for it.
        scale_note: what there is to be said of the scale.
    """

    regions: int | None = None
    millimetres_per_pixel: float | None = None
    corroded_square_millimetres: float | None = None
    sampled_area_low: float | None = None
    sampled_area_high: float | None = None
    sampled_areas: int | None = None
    sampled_area_note: str = ""
    expected_missed_fraction: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    position_note: str = ""
    scale_note: str = ""


def describe(
    row: Row, shape: tuple[int, int], threshold: float, measured: Measured, calibration: AreaCalibration
) -> Row:
    """The row with its figures; `calibration` makes the interval of the area."""
    found = area(calibration, measured.sums["probability"] / measured.pixels, measured.open / measured.pixels)
    counts = measured.confusion
    scored = {} if counts is None else {name: float(value) for name, value in scores(counts)._asdict().items()}
    return dataclasses.replace(
        row,
        height=shape[0],
        width=shape[1],
        threshold=threshold,
        corroded_fraction=measured.corroded / measured.pixels,
        area=found.estimate,
        area_low=found.low,
        area_high=found.high,
        **{f"mean_{name}": total / measured.pixels for name, total in measured.sums.items()},
        **scored,
    )


class Noted(NamedTuple):
    """A note, the first photograph that it is of, and how many there are."""

    note: str
    photograph: str
    count: int


def noted(rows: Sequence[Row]) -> list[Noted]:
    """What is to be said of positions and scales, once however many photographs it is of."""
    places: dict[str, list[str]] = {}
    for row in rows:
        for note in filter(None, (row.position_note, row.scale_note)):
            places.setdefault(note, []).append(row.photograph)
    return [Noted(note, photographs[0], len(photographs)) for note, photographs in places.items()]


def write_summary(folder: Path, rows: Sequence[Row], name: str = "summary") -> None:
    """Writes NAME.csv and NAME.json, a line or an object for each photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [dataclasses.asdict(row) for row in rows]
    table = csv_text([field.name for field in dataclasses.fields(Row)], (record.values() for record in records))
    texts = {"json": json.dumps(records, indent=2, ensure_ascii=False) + "\n", "csv": table}
    for extension, text in texts.items():
        write_atomically(folder / f"{name}.{extension}", text)
