"""The summary of a run as an Excel workbook: the survey, its photographs, their corroded regions, and the method.

All texts are written as texts: what begins like a formula or an address stays what it is.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.io.atomic_files import atomic_file
from spotrust_jax.io.display import escaped
from spotrust_jax.outputs.descriptions import UNKNOWN_KIND, novel_alert, score_tables, statements, survey_conditions
from spotrust_jax.outputs.explanations import EXPLANATIONS
from spotrust_jax.outputs.map_files import Result
from spotrust_jax.outputs.region_tables import Region
from spotrust_jax.outputs.region_writer import read_regions
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.survey import SurveyRow, survey_rows
from spotrust_jax.outputs.writers import Run

# Lines that a sheet of Excel holds, and letters that a cell does.
_MOST_LINES, _MOST_LETTERS = 1_048_576, 32_767

Cell = str | int | float | None


@dataclasses.dataclass(frozen=True)
class WorkbookWriter:
    """summary.xlsx. Comes after a `RegionWriter`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """None: it writes nothing of single photographs."""
        return {}

    def photograph_files(self, output: Path, photograph: Photograph) -> list[Path]:
        """None."""
        return []

    def write(self, output: Path, photograph: Photograph, row: Row, result: Result) -> Row:
        """Nothing."""
        return row

    def run_files(self, output: Path, suffix: str) -> list[Path]:
        """The workbook."""
        return [output / f"summary{suffix}.xlsx"]

    def finish(self, run: Run) -> None:
        """Writes the workbook."""
        (path,) = self.run_files(run.output, run.suffix)
        with atomic_file(path) as partial, xlsxwriter.Workbook(str(partial), {"constant_memory": True}) as book:
            bold = book.add_format({"bold": True, "bottom": 1})
            for name, lines in _sheets(run).items():
                _write_sheet(book.add_worksheet(name), lines, bold)


def _sheets(run: Run) -> dict[str, Iterable[Sequence[Cell]]]:
    """Lines of each sheet, the first its head."""
    return {
        "survey": _survey(run),
        "photographs": _records(Row, run.rows),
        "regions": _regions(run),
        "method": _method(run),
    }


def _write_sheet(sheet: Any, lines: Iterable[Sequence[Cell]], bold: Any) -> None:
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 0, 40)
    for number, line in enumerate(lines):
        if number == _MOST_LINES:
            break
        for column, value in enumerate(line):
            if isinstance(value, str):
                sheet.write_string(number, column, escaped(value)[:_MOST_LETTERS], None if number else bold)
            elif value is not None:
                sheet.write_number(number, column, value)


def _records(kind: type, records: Iterable[Any]) -> Iterable[Sequence[Cell]]:
    yield [field.name for field in dataclasses.fields(kind)]
    for record in records:
        yield list(dataclasses.asdict(record).values())


def _survey(run: Run) -> Iterable[Sequence[Cell]]:
    areas = survey_rows(run.rows, run.model.areas)
    yield from _records(SurveyRow, areas)
    yield from ([survey_conditions(found)] for found in areas[:1])
    yield []
    for label in ("asset", "date of inspection", "inspector", "signature"):
        yield [label]
    yield ["photographs analysed", len(run.analysed)]
    yield ["photographs that failed", sum(row.status != "ok" for row in run.rows)]
    yield [UNKNOWN_KIND, sum(bool(row.novel) for row in run.analysed)]
    yield from ([note] for note in filter(None, [novel_alert(run.analysed)]))


def _regions(run: Run) -> Iterable[Sequence[Cell]]:
    yield ["outputs", *Region._fields]
    for row in run.analysed:
        for line in read_regions(run.output, row.outputs)[0]:
            yield [row.outputs, *line]


def _method(run: Run) -> Iterable[Sequence[Cell]]:
    model = run.model
    yield ["about", "statement"]
    yield from (["model", f"{model.name} {model.card.version}".strip()], ["network", model.kind])
    yield from ([one.about, one.text] for one in statements(model, run.analysed))
    yield from (["training data", source] for source in model.card.sources)
    for table in score_tables(model.card.scores):
        yield []
        yield ["photographs", *(f"{measure}{part}" for measure in table.measures for part in ("", ", low", ", high"))]
        for on, scores in table.lines:
            yield [on, *(value for one in scores for value in (one.value, one.low, one.high))]
    yield []
    yield from ([one.term, one.text] for one in EXPLANATIONS.values())
