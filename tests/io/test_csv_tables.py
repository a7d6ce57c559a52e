"""Tables as a spreadsheet and a terminal show them, whatever a photograph's file is called."""

import csv
import io
import os

from spotrust_jax.io.csv_tables import csv_text
from spotrust_jax.io.display import escaped

NAMES = ["two\nlines.jpg", os.fsdecode(b"caf\xe9.jpg"), "caf\u00e9.jpg", "sep\u2028.jpg", "=1+1.jpg", "\ttab.jpg"]
SHOWN = ["two%0Alines.jpg", "caf%E9.jpg", "caf\u00e9.jpg", "sep%E2%80%A8.jpg", "'=1+1.jpg", "'%09tab.jpg"]


def test_names_are_text_of_one_line():
    text = csv_text(["photograph", "area"], [(name, 0.5) for name in NAMES])
    text.encode("utf-8")
    assert len(text.splitlines()) == 1 + len(NAMES)
    assert [row["photograph"] for row in csv.DictReader(io.StringIO(text))] == SHOWN
    assert [escaped(name) for name in NAMES[:4]] == SHOWN[:4]
