"""CSV tables for people, who open them in a spreadsheet; programs read the JSON beside them."""

import csv
import io
from collections.abc import Iterable

from spotrust_jax.io.display import escaped

# What a spreadsheet takes for the beginning of a formula, which may start programs: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table with its head, one line a row.

    Text that a spreadsheet would take for a formula begins with an apostrophe, and what no line can hold is `escaped`.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return table.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return f"'{escaped(value)}" if value.startswith(_FORMULA) else escaped(value)
