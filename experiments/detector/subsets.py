"""Data sets for the cross-site table, made of links to the detector's own.

python -m experiments.detector.subsets --data=runs/detector/data --output=runs/detector/subsets

OUTPUT/cross_site has each of the four sites as a fold, and all else as a fifth. OUTPUT/others is that fifth alone, to
pretrain on photographs of no site. OUTPUT/SITE_10, _25, _50 and _all have so many training photographs of one site;
they share validation and test photographs, smaller ones are parts of larger ones, and groups come in a random order.
"""

import csv
import os
from pathlib import Path

from absl import app, flags

from experiments.detector.folders import Row, read_table
from experiments.detector.sites import COUNTS, SITES, in_random_order

_DATA = flags.DEFINE_string("data", None, "Data set that assemble.py wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)


def write_subset(data: Path, folder: Path, rows: list[Row]) -> None:
    """A data set of these rows, whose files are links."""
    for kind, extension in (("images", "webp"), ("masks", "png")):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for row in rows:
            link = folder / kind / f"{row['name']}.{extension}"
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(data / kind / link.name, link.parent))
    with (folder / "splits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", "split", "group", "site"])
        writer.writeheader()
        writer.writerows(rows)


def _with_fold(row: Row) -> Row:
    """Training photographs in the fold of their site."""
    fold = SITES.index(row["site"]) if row["site"] in SITES else len(SITES)
    return {**row, "split": f"fold_{fold}"} if row["split"] == "train" else row


def main(_: list[str]) -> None:
    """Writes all subsets of all sites."""
    data, output = Path(_DATA.value), Path(_OUTPUT.value)
    rows = read_table(data / "splits.csv")
    write_subset(data, output / "cross_site", [_with_fold(row) for row in rows if row["split"] != "validation"])
    write_subset(data, output / "others", [row for row in rows if row["site"] not in SITES and row["split"] == "train"])
    for site in SITES:
        of_site = [row for row in rows if row["site"] == site]
        others = [row for row in of_site if row["split"] != "train"]
        training = in_random_order([row for row in of_site if row["split"] == "train"])
        for count in (*COUNTS, "all"):
            chosen = training if count == "all" else training[:count]
            write_subset(data, output / f"{site}_{count}", chosen + others)
    print(f"{2 + len(SITES) * (len(COUNTS) + 1)} data sets: {output}")


if __name__ == "__main__":
    app.run(main)
