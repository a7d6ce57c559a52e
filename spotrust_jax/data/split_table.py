"""The file splits.csv as it is on disk; what its rows may say is up to who reads them, a data set or a source."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.errors import InputError

TABLE = "splits.csv"


class SplitRow(NamedTuple):
    """A row that is not blank, its cells as they are written."""

    line: int
    name: str
    split: str
    group: str
    site: str = ""


def has_split_table(folder: Path) -> bool:
    """Whether a folder has splits.csv; an `InputError` where it cannot be one, so that nothing is divided anew."""
    if os.path.lexists(folder / TABLE) and not (folder / TABLE).is_file():
        raise InputError(f"{folder / TABLE} is no file, but a folder, a pipe or a link to nothing: copy or remove it")
    return (folder / TABLE).is_file()


def read_split_table(table: Path, spaces: str | None = None) -> list[SplitRow]:
    """The rows of splits.csv; a spreadsheet's byte order mark is dropped.

    `spaces` are the characters that headings may be surrounded by and blank cells consist of, by default all that are
    white space. A table that cannot be read, or lacks the columns name and split, is an `InputError`.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip(spaces) for cell in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(cell.strip(spaces) for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read ({error}): save it as comma-separated text in UTF-8") from error
    if not {"name", "split"} <= set(header):
        raise InputError(f"{table} has the columns {header}: its first line must be name,split,group")
    cells = [(line, dict(zip(header, row, strict=False))) for line, row in rows]
    return [SplitRow(line, *(row.get(column, "") for column in SplitRow._fields[1:])) for line, row in cells]
