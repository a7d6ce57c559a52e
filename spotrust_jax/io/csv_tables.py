"""CSV tables for people, who open them in a spreadsheet; not for tables that our own programs read again."""

import csv
import io
from collections.abc import Iterable

# What a spreadsheet takes for the beginning of a formula, which may start programs: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table with its head; text that a spreadsheet would take for a formula begins with an apostrophe."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return table.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
