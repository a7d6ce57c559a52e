"""Writes predictions as JSON for labelme, to be corrected there and read again by prepare_data."""

from pathlib import Path

from absl import flags

from . import program

_PREDICTIONS = flags.DEFINE_string("predictions", None, "Folder that spotrust predict wrote.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for photographs and labels.", required=True)
_NOTES = flags.DEFINE_string("notes", None, "Notes saved in the report: only photographs checked there.")
_MIN_PIXELS = flags.DEFINE_integer("min_region_pixels", 1, "Smaller regions get no polygon.", lower_bound=1)


def main() -> int:
    from spotrust_jax.outputs.labels import checked_in, chosen_rows, read_run, write_label

    folder, output = Path(_PREDICTIONS.value), Path(_OUTPUT.value)
    stems = checked_in(Path(_NOTES.value)) if _NOTES.value else None
    rows = chosen_rows(read_run(folder), stems)
    for row in rows:
        write_label(folder, row, output, smallest=_MIN_PIXELS.value)
    print(f"{len(rows)} photographs with labels: correct them in labelme, then prepare_data --source={output}")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
