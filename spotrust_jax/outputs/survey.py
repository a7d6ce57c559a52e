"""The corroded area of all photographs of a run together, and of each structure: of the photographs of one folder."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from spotrust_jax.calibration.areas import AreaCalibration, Shares
from spotrust_jax.calibration.surveys import survey_area
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.outputs.summary import Row


@dataclasses.dataclass(frozen=True)
class SurveyRow:
    """Photographs together.

    Attributes:
        structure: folder of the photographs below the input, "." for the input itself; "" where they are of all.
        photographs: that have an area; all count the same, whatever their pixels.
        structures: how many folders they are in.
        area: mean corroded share of what is judged in each.
        area_low, area_high: interval that is to hold it with probability `area_level`; None where the model's areas
            are not calibrated.
        area_level: probability, 0 to 1.
        novel: how many of the photographs are not of a kind that the model knows, which the interval does not allow
            for; 0 also where the model has no novelty.
    """

    structure: str
    photographs: int
    structures: int
    area: float
    area_low: float | None
    area_high: float | None
    area_level: float
    novel: int = 0


def survey_rows(rows: Sequence[Row], calibration: AreaCalibration) -> list[SurveyRow]:
    """The survey and, where there are several, each structure by its name; none where no photograph has an area."""
    known = [row for row in rows if row.area is not None and row.area_open is not None]
    if not known:
        return []
    structures = np.array([str(PurePosixPath(row.outputs).parent) for row in known])
    shares = Shares(*(np.array([getattr(row, name) for row in known], np.float64) for name in ("area", "area_open")))

    def together(structure: str, chosen: np.ndarray) -> SurveyRow:
        part = Shares(*(values[chosen] for values in shares))
        found = survey_area(calibration, part, structures[chosen].tolist())
        novel = sum(bool(known[index].novel) for index in np.flatnonzero(chosen))
        return SurveyRow(structure, int(chosen.sum()), len(set(structures[chosen])), *found, novel)

    names = sorted(set(structures.tolist()))
    each = [together(name, structures == name) for name in names] if len(names) > 1 else []
    return [together("", np.ones(len(known), bool)), *each]


def write_survey(folder: Path, rows: Sequence[Row], calibration: AreaCalibration, name: str = "survey") -> None:
    """Writes NAME.json: a list of the survey and its structures."""
    records = [dataclasses.asdict(row) for row in survey_rows(rows, calibration)]
    write_atomically(folder / f"{name}.json", json.dumps(records, indent=2, ensure_ascii=False) + "\n")
