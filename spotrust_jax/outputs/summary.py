"""The summary of a run: one line for each photograph, as CSV and as JSON."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from spotrust_jax.calibration.areas import AreaCalibration, area
from spotrust_jax.calibration.novelty import Novelty
from spotrust_jax.grades.assignment import OR, GradeSet, grade_area
from spotrust_jax.grades.distribution import Distribution, rust_distribution
from spotrust_jax.grades.standards import ASTM_D610, STANDARDS, Standard
from spotrust_jax.inference.maps import Given
from spotrust_jax.inference.prediction import MAPS
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.csv_tables import csv_text
from spotrust_jax.metrics.masks import MASKS, scores
from spotrust_jax.outputs.map_files import Measured, Result

REGION, WHOLE = "region of interest", "whole picture"
"""What the figures of a photograph are of."""

_SAMPLED_PIXELS = 1_000_000  # of which a speck of rust still has a hundred

# Names in a line; the table has all.
_LISTED = 5


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
    area_level: float | None = None
    area_open: float | None = None
    judged: str = ""
    region_of_interest: str = ""
    judged_pixels: int | None = None
    analysed_pixels: int | None = None


def _grades() -> list[str]:
    """The columns that the table of standards gives."""
    columns = [*(f"grade_{standard.key}" for standard in STANDARDS), "d610_distribution"]
    return [f"{column}{ending}" for column in columns for ending in ("", "_note")]


def _figures() -> list[str]:
    """The columns that the tables of maps and of scores give: those that are there on request come last."""
    on_request = {name: described.given is Given.DECOMPOSED for name, described in MAPS.items()}
    means = {asked: [f"mean_{name}" for name in MAPS if on_request[name] == asked] for asked in (False, True)}
    return [*means[False], *MASKS.names, *means[True]]


# Typed as any class, because its fields are known only when the program runs.
_Figures: Any = dataclasses.make_dataclass(
    "_Figures",
    [
        *((name, str, dataclasses.field(default="")) for name in _grades()),
        *((name, float | None, dataclasses.field(default=None)) for name in _figures()),
    ],
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
        corroded_fraction: share of pixels that do. All shares, means, scores and grades are of the judged pixels.
        area, area_low, area_high: estimate of the corroded share and the interval that holds it; there is no interval
            where the model is not calibrated for areas.
        area_level: probability with which intervals hold the share, and sets of grades the grade.
        area_open: mean of p (1 - p) over what is judged, which intervals of several photographs together are made of.
        judged: what is judged, `REGION` or `WHOLE`.
        region_of_interest: the file that the former was read from.
        judged_pixels, analysed_pixels: how many pixels are judged, of the photograph and at the size of its analysis.
        grade_KEY: of each standard of `STANDARDS`, the grades that a share in the interval has, the best first, such as
            "5 or 4"; they hold the true grade at least as often as the interval holds the share.
        grade_KEY_note: why there is none.
        d610_distribution, d610_distribution_note: the letter S, G or P that goes with grades 9 to 1 of ASTM D610, from
            the mask, to which no probability belongs; or why there is none although there is rust.
        mean_NAME: mean of each map of `MAPS`.
        the scores of masks, each under its name: against the ground truth.
        regions: connected corroded regions; this and what follows is there with a report.
        millimetres_per_pixel, corroded_square_millimetres: where the scale is known.
        sampled_area_low, sampled_area_high, sampled_areas, sampled_area_note: middle 95% of the corroded fractions in
            single samples, how many there are, and why there are none or how they are to be read. It says how far
            samples are apart, not how far all of them may be from the truth.
        novelty, novel, novelty_note: how far the photograph is from those that the model was trained on, 1 being the
            limit, whether it is beyond, and what follows from that; empty where the model has no novelty.
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
    novelty: float | None = None
    novel: bool | None = None
    novelty_note: str = ""
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    position_note: str = ""
    scale_note: str = ""


def describe(row: Row, result: Result, measured: Measured, calibration: AreaCalibration) -> Row:
    """The row with its figures; `calibration` makes the interval of the area."""
    found = area(calibration, measured.sums["probability"] / measured.pixels, measured.open / measured.pixels)
    counts = measured.confusion
    scored = {} if counts is None else {name: float(value) for name, value in scores(counts)._asdict().items()}
    # What is enlarged for the analysis shows no more than it did before.
    shrunk = min(1.0, result.prediction.probability.size / math.prod(result.image.shape[:2]))
    analysed = round(measured.pixels * shrunk)
    found_grades = [grade_area(standard, found, judged_pixels=analysed) for standard in STANDARDS]
    return dataclasses.replace(
        row,
        height=result.image.shape[0],
        width=result.image.shape[1],
        threshold=result.threshold,
        corroded_fraction=measured.corroded / measured.pixels,
        area=found.estimate,
        area_low=found.low,
        area_high=found.high,
        area_level=found.level,
        area_open=measured.open / measured.pixels,
        judged=WHOLE if result.judged is None else REGION,
        judged_pixels=measured.pixels,
        analysed_pixels=analysed,
        **_graded(found_grades, rust_distribution(*_sampled(result), judged_pixels=analysed)),
        **{f"mean_{name}": total / measured.pixels for name, total in measured.sums.items()},
        **scored,
    )


def grades(row: Row) -> list[GradeSet]:
    """The grades of an analysed photograph by all standards, as its row has them."""
    return [_grade_of(row, standard) for standard in STANDARDS]


def without_grades(row: Row, reason: str) -> Row:
    """The row of a photograph that gets no grade by any standard, and why."""
    refused = [GradeSet(standard.name, (), row.area_level, reason) for standard in STANDARDS]
    return dataclasses.replace(row, **_graded(refused, Distribution("")))


def _sampled(result: Result) -> tuple[Bool[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """The mask and what is judged, in a box around the latter, at the size of the analysis; of large ones less."""
    probability = result.prediction.probability
    judged = np.ones((1, 1), bool) if result.judged is None else result.judged
    spans = [np.flatnonzero(judged.any(axis=axis))[[0, -1]] + (0, 1) for axis in (1, 0)]
    # As shares of the photograph's sides.
    ends = np.array(spans) / np.array(judged.shape)[:, None]
    counts = (ends[:, 1] - ends[:, 0]) * probability.shape
    counts = np.maximum(1, counts / max(1.0, math.sqrt(counts.prod() / _SAMPLED_PIXELS))).round().astype(int)
    shares = [
        low + (np.arange(count) + 0.5) / count * (high - low) for (low, high), count in zip(ends, counts, strict=True)
    ]
    seen, asked = (
        array[np.ix_(*((share * side).astype(int) for share, side in zip(shares, array.shape, strict=True)))]
        for array in (probability, judged)
    )
    return seen >= result.threshold, asked


def _grade_of(row: Row, standard: Standard) -> GradeSet:
    labels, reason = (getattr(row, f"grade_{standard.key}{ending}") for ending in ("", "_note"))
    return GradeSet(standard.name, tuple(labels.split(OR)) if labels else (), row.area_level, reason or None)


def _graded(found: Sequence[GradeSet], distribution: Distribution) -> dict[str, str]:
    """The columns of grades, one set for each of `STANDARDS`."""
    columns = {}
    for standard, one in zip(STANDARDS, found, strict=True):
        columns |= {f"grade_{standard.key}": one.text, f"grade_{standard.key}_note": one.refusal or ""}
    # Grades 10 and 0, hardly any rust and more than half, have no letter.
    lettered = {one.label for one in ASTM_D610.classes[1:-1]}
    if not lettered.intersection(found[STANDARDS.index(ASTM_D610)].labels):
        distribution = Distribution("")
    return {**columns, "d610_distribution": distribution.letter, "d610_distribution_note": distribution.refusal or ""}


def with_novelty(row: Row, found: Novelty | None) -> Row:
    """The row with the novelty of its photograph, where the model has it."""
    if found is None:
        return row
    reason = (
        f"novel: its features are {found.score:.2f} times the limit away from all photographs that the model was "
        f"trained on, so area and grade are not to be relied on"
    )
    row = dataclasses.replace(row, novelty=found.score, novel=found.novel, novelty_note=reason if found.novel else "")
    return without_grades(row, reason) if found.novel else row


def novel_note(rows: Sequence[Row]) -> str:
    """Which photographs of a run are novel, in one line; empty where none is."""
    novel = [row.photograph for row in rows if row.novel]
    if not novel:
        return ""
    judged = sum(row.novel is not None for row in rows)
    if len(novel) == judged:
        count = "the only photograph is" if judged == 1 else f"all {judged} photographs are"
        return f"{count} novel: nothing here resembles what the model was trained on, and nothing is graded"
    shown = ", ".join(novel[:_LISTED]) + (f" and {len(novel) - _LISTED} more" if len(novel) > _LISTED else "")
    return f"{len(novel)} of {judged} photographs are novel, do not rely on their areas, and are not graded: {shown}"


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
