"""Finds corrosion in the photographs of a folder or bucket, on all devices of a Ray cluster."""

import contextlib
import os
import sys
from typing import Any, cast

from absl import flags

from spotrust_jax.errors import InputError

from . import analysis_flags, checkpoint_flags, mask_flags, program

_INPUT = flags.DEFINE_string("input", None, "Folder, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder or bucket for the maps.", required=True)
_ADDRESS = flags.DEFINE_string("address", "local", "Ray cluster, such as auto or HOST:6379, or this machine (local).")
_PREDICTORS = flags.DEFINE_integer(
    "predictors", 0, "Predictors; 0 is one on each accelerator or, without any, on each machine.", lower_bound=0
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Photographs that a predictor takes at a time.", lower_bound=1)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Do again what an earlier run with the same settings has done.")


def main() -> int:
    _require_ray()
    from spotrust_jax.batch.buckets import open_store
    from spotrust_jax.batch.records import only_run

    fleet = _fleet()
    folder = open_store(fleet.output).local
    # A bucket has no locks.
    with contextlib.nullcontext() if folder is None else only_run(folder):
        return _run(fleet)


def _run(fleet) -> int:
    from tqdm import tqdm

    from spotrust_jax.batch.fleet import photographs_of, run_fleet, write_fleet_summary
    from spotrust_jax.io.display import escaped
    from spotrust_jax.outputs.summary import novel_note

    count = len(photographs_of(fleet))
    found = run_fleet(fleet, address=_ADDRESS.value, predictors=_PREDICTORS.value, batch_size=_BATCH_SIZE.value)
    rows = sorted(tqdm(found, total=count, unit="photo", mininterval=1.0), key=lambda row: row.photograph)
    write_fleet_summary(fleet, rows)
    if note := novel_note(rows):
        program.warn(escaped(note))
    failed = [row for row in rows if row.status != "ok"]
    for row in failed:
        print(escaped(f"error: {row.message}"), file=sys.stderr)
    print(f"{len(rows) - len(failed)} of {len(rows)} photographs analysed: {_OUTPUT.value}/summary.parquet")
    return 1 if failed else 0


def _fleet():
    import jax

    from spotrust_jax.batch.fleet import Fleet
    from spotrust_jax.checkpoints import read_config
    from spotrust_jax.outputs.map_files import MAX_MAP_PIXELS

    config = mask_flags.prepared(read_config(checkpoint_flags.checkpoint()))
    jax_config = cast(Any, jax.config)  # jax adds its settings as the program runs
    return Fleet(
        _shared_checkpoint(),
        _absolute(_INPUT.value),
        _absolute(_OUTPUT.value),
        analysis_flags.analysis(config),
        mask_flags.threshold(config),
        MAX_MAP_PIXELS,
        mask_flags.calibrated(),
        _OVERWRITE.value,
        jax_config.jax_platforms or "",
        jax_config.jax_compilation_cache_dir or "",
    )


def _shared_checkpoint() -> str:
    """A name stays one: every machine has the package, perhaps elsewhere; all can read the path of any other model."""
    from spotrust_jax.io.model_folders import names

    checkpoint = checkpoint_flags.checkpoint()
    return checkpoint if checkpoint in names() else os.path.abspath(checkpoint)


def _absolute(place: str) -> str:
    """Predictors run in other folders."""
    return place if "://" in place else os.path.abspath(place)


def _require_ray() -> None:
    try:
        import ray.data  # noqa: F401  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        raise InputError(f"spotrust fleet needs Ray Data ({error}): pip install 'spotrust-jax[ray]'") from error


def run() -> None:
    # The predictors need the memory of the accelerators; this program only looks at what there is.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    program.run(main)


if __name__ == "__main__":
    run()
