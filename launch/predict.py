"""Finds corrosion in photographs: for each one a mask, an overlay and the maps of uncertainty, for all a summary."""

import sys
from pathlib import Path

from absl import flags

from spotrust_jax.errors import InputError

from . import analysis_flags, program

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Folder of a trained model, such as RUN/best.", required=True)
_INPUT = flags.DEFINE_string("input", None, "Photograph, folder, or glob in quotes.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the maps.", required=True)
_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Folder of masks, with the photographs' stems.")


def main() -> int:
    from tqdm import tqdm

    import spotrust_jax
    from spotrust_jax.inference.analysis import much_larger
    from spotrust_jax.inference.folder import analyse_photograph
    from spotrust_jax.inference.outputs import write_summary
    from spotrust_jax.inference.photographs import list_photographs

    segmenter = spotrust_jax.load(_CHECKPOINT.value)
    analysis, threshold = analysis_flags.analysis(segmenter.config), analysis_flags.threshold(segmenter.config)
    output, truths = Path(_OUTPUT.value), _ground_truth()
    # What an earlier run wrote below the input is no photograph.
    photographs = [p for p in list_photographs(_INPUT.value) if output.resolve() not in p.path.resolve().parents]
    rows = [
        analyse_photograph(segmenter, photograph, output, analysis, threshold, truths)
        for photograph in tqdm(photographs, unit="photo", mininterval=1.0)
    ]
    write_summary(output, rows)
    shrunk = sum(row.height is not None and much_larger(row.height, row.width, analysis) for row in rows)
    if shrunk:
        print(
            f"warning: {shrunk} of {len(rows)} photographs are more than twice as large as the {analysis.scale} pixels "
            f"at which they were analysed: small spots may be lost, --scale=PIXELS analyses them larger",
            file=sys.stderr,
        )
    failed = [row for row in rows if row.status != "ok"]
    for row in failed:
        print(f"error: {row.message}", file=sys.stderr)
    print(f"{len(rows) - len(failed)} of {len(rows)} photographs analysed: {output / 'summary.csv'}")
    return 1 if failed else 0


def _ground_truth() -> Path | None:
    if _GROUND_TRUTH.value is None:
        return None
    folder = Path(_GROUND_TRUTH.value)
    if not folder.is_dir():
        raise InputError(f"--ground_truth={folder} is no folder: give the one with the masks")
    return folder


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
