"""The workbook, read by another library: its sheets, numbers and texts, and that texts are no formulas."""

import dataclasses

import openpyxl

from spotrust_jax.outputs import workbook
from spotrust_jax.outputs.descriptions import UNKNOWN_KIND
from spotrust_jax.outputs.region_tables import Region
from spotrust_jax.outputs.summary import Row
from spotrust_jax.outputs.workbook import WorkbookWriter
from spotrust_jax.outputs.writers import Model, Run

FORMULA = "=HYPERLINK(1)"
LINK = "https://somewhere.invalid"
REGIONS = [Region(n + 1, 40, None, 1, 2, 3, 4, 0.75, 0.125) for n in range(20)]
MODEL = Model("known", "deterministic, w18_small_v1", 24, 64, 0.5)


def rows(count):
    names = [FORMULA, LINK, "bad\udcff.png", *(f"{number}.png" for number in range(count))]
    return [
        Row(name, name, height=64, width=96, corroded_fraction=0.25, area=0.5, area_open=0.1, area_level=0.9)
        for name in names
    ]


def test_novel_photographs_are_counted_and_the_condition_of_the_survey_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "read_regions", lambda *_: ([], []))
    found = [dataclasses.replace(row, novel=novel) for row, novel in zip(rows(0), (True, False, True), strict=True)]
    for shown, note in ((found, "2 of 3 photographs are not of a kind"), (found[:1], "THE ONLY PHOTOGRAPH IS NOT")):
        WorkbookWriter().finish(Run(tmp_path, shown, MODEL))
        book = openpyxl.load_workbook(tmp_path / "summary.xlsx", read_only=True)
        lines = [[cell.value for cell in line] for line in book["survey"].iter_rows()]
        assert [UNKNOWN_KIND, sum(row.novel for row in shown)] in [line[:2] for line in lines]
        assert any(str(line[0]).startswith(note) for line in lines)
        assert any("A folder stands for a structure" in str(line[0]) for line in lines)


def test_sheets_have_the_rows_and_texts_stay_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "read_regions", lambda *_: (REGIONS, []))
    found = rows(1000)
    WorkbookWriter().finish(Run(tmp_path, found, MODEL))
    path = tmp_path / "summary.xlsx"
    assert path.stat().st_size < 3_000_000
    book = openpyxl.load_workbook(path, read_only=True)
    assert book.sheetnames == ["survey", "photographs", "regions", "method"]
    head, *lines = book["photographs"].iter_rows()
    assert [cell.value for cell in head] == [field.name for field in dataclasses.fields(Row)]
    assert len(lines) == len(found) and [line[0].value for line in lines[:3]] == [FORMULA, LINK, "bad%FF.png"]
    assert {line[0].data_type for line in lines} == {"s"}
    column = [cell.value for cell in head].index("area")
    assert {line[column].value for line in lines} == {0.5}
    assert sum(1 for _ in book["regions"].iter_rows()) == 1 + len(found) * len(REGIONS)
    texts = [cell.value for line in book["method"].iter_rows() for cell in line]
    assert any(text and text.startswith("NOT CALIBRATED") for text in texts)
