"""Finds corrosion in photographs.

Writes a mask, an overlay and the maps of uncertainty of each photograph, and a summary of all of them.
"""

import dataclasses
import re
import sys
from pathlib import Path

from absl import flags

from spotrust_jax.errors import InputError, RunError

from . import analysis_flags, checkpoint_flags, mask_flags, picture_flags, program, report_flags

_INPUT = flags.DEFINE_string("input", None, "Photograph, folder, or glob in quotes.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the maps.", required=True)
_GROUND_TRUTH = flags.DEFINE_string("ground_truth", None, "Folder of masks, placed and named as the photographs are.")
_REGIONS = flags.DEFINE_string(
    "regions", None, "Folder of regions of interest, masks or labelme files, placed and named as the photographs are."
)
_MAX_MAP_PIXELS = flags.DEFINE_integer(
    "max_map_pixels",
    None,
    "More pixels than this (50 million) make the maps a TIFF in tiles.",
    lower_bound=0,
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Do again what an earlier run with the same settings has done.")
_SHARD = flags.DEFINE_string("shard", "1/1", "The i-th of n parts of the photographs, i/n, counted from 1.")

_TABLES = (("summary", "csv"), ("summary", "json"), ("survey", "json"))


def main() -> int:
    from spotrust_jax.batch.records import only_run

    shard, shards = _shard()
    writers = report_flags.writers()
    output = program.writable(Path(_OUTPUT.value))
    part = "" if shards == 1 else f"{shard}-of-{shards}"
    _require_no_other_summary(output, f"-{part}" if part else "", writers)
    with only_run(output, part):
        return _predict(shard, shards, writers, output)


def _predict(shard: int, shards: int, writers: tuple, output: Path) -> int:
    from tqdm import tqdm

    import spotrust_jax
    from spotrust_jax.batch.folder import analyse_photographs, finish
    from spotrust_jax.batch.photograph_job import Job, require_apart, require_ours
    from spotrust_jax.inference.preprocessing import list_photographs
    from spotrust_jax.outputs.map_files import MAX_MAP_PIXELS
    from spotrust_jax.outputs.writers import Run, described

    segmenter = mask_flags.prepared(spotrust_jax.load(checkpoint_flags.checkpoint()))
    analysis, threshold = analysis_flags.analysis(segmenter.config), mask_flags.threshold(segmenter.config)
    if writers:
        analysis = dataclasses.replace(analysis, decomposed=True)
    photographs = list_photographs(_INPUT.value)
    require_apart(photographs, output)
    truths, regions = _ground_truth(photographs), _regions(photographs)
    photographs = photographs[shard - 1 :: shards]
    limit = MAX_MAP_PIXELS if _MAX_MAP_PIXELS.value is None else _MAX_MAP_PIXELS.value
    pictures = picture_flags.style(), picture_flags.picture_options()
    job = Job(output, analysis, threshold, truths, limit, *pictures, report_flags.area_draws(), writers, regions)
    require_ours(photographs, job)
    done = analyse_photographs(segmenter.spread(program.devices()), photographs, job, overwrite=_OVERWRITE.value)
    finished = sorted(tqdm(done, total=len(photographs), unit="photo", mininterval=1.0))
    suffix = "" if shards == 1 else f"-{shard}-of-{shards}"
    model = described(segmenter.config, Path(checkpoint_flags.checkpoint()), analysis, threshold)
    try:
        for page in finish(job, Run(output, [item.row for item in finished], model, suffix)):
            print(f"report: {page}")
    except OSError as error:
        remedy = "make room and start again, photographs that are done stay so"
        raise RunError(f"summary and report in {output} cannot be written ({error}): {remedy}") from error
    return _conclude(finished, analysis, segmenter.config, output / f"summary{suffix}.csv")


def _shard() -> tuple[int, int]:
    # Python reads no number of more than 4300 digits, and nobody has a billion jobs.
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", _SHARD.value)
    shard, shards = map(int, found.groups()) if found else (0, 0)
    if not 1 <= shard <= shards:
        given = _SHARD.value if len(_SHARD.value) <= 80 else f"{_SHARD.value[:80]}..."
        raise InputError(f"--shard={given} is no part: give i/n with i from 1 to n, such as 1/4")
    return shard, shards


def _require_no_other_summary(folder: Path, suffix: str, writers: tuple) -> None:
    """Raises an `InputError` for a file of a summary's or a report's name in a folder where no run has been."""
    from spotrust_jax.io.written_files import FOLDER

    files = [folder / f"{name}{suffix}.{extension}" for name, extension in _TABLES]
    files += [file for writer in writers for file in writer.run_files(folder, suffix)]
    for file in () if (folder / FOLDER).is_dir() else files:
        if file.exists():
            where = "lies where this run writes its own, and no run wrote it"
            raise InputError(f"{file} {where}: move it away, or give another --output")


def _folder(flag: str, path: str, content: str) -> Path:
    if not Path(path).is_dir():
        raise InputError(f"--{flag}={Path(path)} is no folder: give the one with {content}")
    return Path(path)


def _ground_truth(photographs: list):
    from spotrust_jax.batch.ground_truth import Truths

    if _GROUND_TRUTH.value is None:
        return None
    return Truths.of(_folder("ground_truth", _GROUND_TRUTH.value, "the masks"), photographs)


def _regions(photographs: list):
    from spotrust_jax.batch.ground_truth import RegionFiles

    if _REGIONS.value is None:
        return None
    folder = _folder("regions", _REGIONS.value, "the regions of interest")
    found = RegionFiles.of(folder, photographs)
    if not any(map(found.has, photographs)):
        remedy = f"name them as the photographs are, such as {photographs[0].stem}.json or .png"
        raise InputError(f"--regions={folder} has no region of interest of any photograph: {remedy}")
    return found


def _conclude(finished: list, analysis, config, summary: Path) -> int:
    """Prints warnings and counts at the end, and gives the exit code."""
    from spotrust_jax.inference.analysis import much_larger, scale_note
    from spotrust_jax.inference.segmenter import compiled_sizes
    from spotrust_jax.io.display import escaped
    from spotrust_jax.outputs.summary import WHOLE, noted, novel_note

    rows = [item.row for item in finished]
    shrunk = sum(row.height is not None and much_larger(row.height, row.width, analysis) for row in rows)
    if shrunk:
        program.warn(
            f"{shrunk} of {len(rows)} photographs are more than twice as large as the {analysis.scale} pixels at which "
            f"they were analysed: small spots may be lost, --scale=PIXELS analyses them larger"
        )
    program.warn(scale_note(config, analysis))
    whole = sum(row.judged == WHOLE for row in rows)
    if _REGIONS.value is not None and whole:
        program.warn(
            f"{whole} of {len(rows)} photographs have no region of interest in {_REGIONS.value}: their areas and "
            f"grades are of the whole picture, as the column judged says"
        )
    for note, first, count in noted(rows):
        others = f" and {count - 1} more" if count > 1 else ""
        program.warn(escaped(f"photograph {first}{others}: {note}"))
    if note := novel_note(rows):
        program.warn(escaped(note))
    failed = [row for row in rows if row.status != "ok"]
    for row in failed:
        print(escaped(f"error: {row.message}"), file=sys.stderr)
    sizes = compiled_sizes(config).sizes
    print(f"compiled sizes (width x height): {', '.join(f'{w} x {h}' for h, w in sizes) or 'none'}")
    earlier = sum(item.earlier for item in finished)
    before = f", {earlier} of them by an earlier run" if earlier else ""
    print(f"{len(rows) - len(failed)} of {len(rows)} photographs analysed{before}: {summary}")
    return 1 if failed else 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
