"""Everything that a run leaves for people and other programs once all of its photographs are done."""

from collections.abc import Sequence
from pathlib import Path

from spotrust_jax.outputs.region_tables import write_coco, write_csv
from spotrust_jax.outputs.summary import Row
from spotrust_jax.report.page import INLINE_LIMIT, Model, write_report
from spotrust_jax.report.survey import read_regions


def publish(output: Path, rows: Sequence[Row], model: Model, *, inline: bool | None = None, suffix: str = "") -> Path:
    """Writes regions.csv, regions_coco.json and report.html, and returns the last one's path.

    Args:
        output: folder of the maps.
        rows: of all photographs of the run, also of those that an earlier run has done or that failed.
        model: what they were analysed by.
        inline: whether the report is one file; None decides by the number of photographs.
        suffix: of the files' names, such as that of a shard.
    """
    shown = [row for row in rows if row.height is not None]
    write_csv(output / f"regions{suffix}.csv", ((row, read_regions(output, row.outputs)[0]) for row in shown))
    write_coco(output / f"regions_coco{suffix}.json", ((row, *read_regions(output, row.outputs)) for row in shown))
    inline = len(shown) <= INLINE_LIMIT if inline is None else inline
    return write_report(output, rows, model, inline=inline, name=f"report{suffix}")
