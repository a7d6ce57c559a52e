"""More photographs than one machine takes: a predictor on each device of a Ray cluster, fed by Ray Data.

folder.py says what is done to each photograph; here they are spread, and fetched and sent where they lie in a
bucket.
"""

import contextlib
import dataclasses
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import pyarrow as pa
import pyarrow.parquet as pq

from spotrust_jax.batch.buckets import Store, open_store
from spotrust_jax.batch.folder import analyse_photographs
from spotrust_jax.batch.photograph_job import Job, failed, require_apart, require_ours
from spotrust_jax.batch.records import FileState, Records
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.inference.segmenter import load
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.outputs.summary import Row, write_summary

_ARROW = {str: pa.string(), int | None: pa.int64(), float | None: pa.float64(), bool | None: pa.bool_()}

SCHEMA = pa.schema([(field.name, _ARROW[field.type]) for field in dataclasses.fields(Row)])
"""Of the summary."""


@dataclasses.dataclass(frozen=True)
class Fleet:
    """What all predictors get.

    Attributes:
        checkpoint: folder of the model, which every machine can read.
        input, output: folders, on a disk that all machines share, or in buckets.
        analysis, threshold, max_map_pixels: as of `Job`.
        calibrated: whether probabilities are, where the model is.
        overwrite: whether to do again what is done.
        platform: jax's name of what to compute on, "" for the best there is.
        cache: folder of compiled programs.
    """

    checkpoint: str
    input: str
    output: str
    analysis: Analysis
    threshold: float
    max_map_pixels: int
    calibrated: bool = True
    overwrite: bool = False
    platform: str = ""
    cache: str = ""

    def job(self, output: Path) -> Job:
        """What is done to each photograph, into a folder of this machine or on a shared disk."""
        return Job(output, self.analysis, self.threshold, max_map_pixels=self.max_map_pixels)


class Predictor:
    """An actor on one device, which keeps the model between batches of photographs."""

    def __init__(self, fleet: Fleet):
        if fleet.platform:
            jax.config.update("jax_platforms", fleet.platform)
        if fleet.cache:
            jax.config.update("jax_compilation_cache_dir", fleet.cache)
        self._fleet = fleet
        segmenter = load(fleet.checkpoint) if fleet.calibrated else load(fleet.checkpoint).uncalibrated
        (self._segmenter,) = segmenter.spread(jax.local_devices()[:1])
        self._input, self._output = open_store(fleet.input), open_store(fleet.output)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The maps of a batch of photographs, and their lines of the summary."""
        photographs = [Photograph(Path(item["path"]), PurePosixPath(item["stem"])) for item in batch.to_pylist()]
        with tempfile.TemporaryDirectory() as scratch:
            rows = list(self._analyse(photographs, Path(scratch)))
        return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], SCHEMA)

    def _analyse(self, photographs: list[Photograph], scratch: Path) -> Iterator[Row]:
        fleet = self._fleet
        output = self._output.local or scratch / "out"
        job = fleet.job(output)
        there = _StoreRecords(Path(self._output.root), job.records(self._segmenter).settings, self._input, self._output)
        left = []
        for photograph in photographs:
            row = None if fleet.overwrite else there.find(photograph, None)
            if row is None:
                left.append(photograph)
            else:
                yield row
        here = [self._fetched(photograph, scratch) for photograph in left]
        if self._output.local is None:
            self._claim(left, job, scratch / "claims")
        try:
            done = list(analyse_photographs([self._segmenter], here, job, overwrite=True))
            yield from (_named(item.row, here[item.index], left[item.index]) for item in done)
        except MismatchError as error:  # as a row, since Ray would add its own pages to an error
            yield from (failed(photograph, error) for photograph in left)
        if self._output.local is None:
            self._output.send(output)

    def _claim(self, photographs: list[Photograph], job: Job, folder: Path) -> None:
        """Sends records of what is to be written before it is sent."""
        claimed = dataclasses.replace(job, output=folder)
        records = claimed.records(self._segmenter)
        for photograph in photographs:
            records.claim(photograph, claimed.files(photograph))
        self._output.send(folder)

    def _fetched(self, photograph: Photograph, scratch: Path) -> Photograph:
        """On this machine; one that cannot be fetched is reported as one that cannot be read."""
        if self._input.local is not None:
            return photograph
        target = scratch / "in" / f"{photograph.stem}{photograph.path.suffix}"
        with contextlib.suppress(OSError):
            self._input.fetch(str(photograph.path), target)
        return Photograph(target, photograph.stem)


def run_fleet(fleet: Fleet, *, address: str = "local", predictors: int = 0, batch_size: int = 16) -> Iterator[Row]:
    """Spreads the photographs over the predictors and gives their lines as they are done.

    Args:
        fleet: what to do.
        address: of a Ray cluster, or "local" for this machine.
        predictors: how many; 0 is one on each accelerator or, without any, one on each machine.
        batch_size: photographs that a predictor takes at a time.
    """
    # The extra `ray`, which not everybody has.
    import ray  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    import ray.data  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # what Ray forks becomes another program at once
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, ignore_reinit_error=True)
    ray.data.DataContext.get_current().enable_progress_bars = False
    items = [{"path": path, "stem": stem} for path, stem in photographs_of(fleet)]
    wanted, count = _placement(ray.cluster_resources(), [node["Resources"] for node in ray.nodes() if node["Alive"]])
    batches = -(-len(items) // batch_size)
    dataset = ray.data.from_items(items, override_num_blocks=batches).map_batches(
        Predictor,
        fn_constructor_args=(fleet,),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(batches, predictors or count)),
        **wanted,
    )
    return (Row(**record) for record in dataset.iter_rows())


def photographs_of(fleet: Fleet) -> list[tuple[str, str]]:
    """Path and stem of each photograph of the input.

    Raises:
        InputError: where there are none, or one would be lost under a picture of another one, or a file that no run
            wrote under any picture in a folder. (In a bucket the latter is not looked for.)
    """
    source, target = open_store(fleet.input), open_store(fleet.output)
    found = source.photographs()
    if not found:
        raise InputError(f"input {fleet.input} has no photographs: give a folder or a bucket that has some")
    photographs = [Photograph(Path(path), PurePosixPath(stem)) for path, stem in found]
    if source.filesystem == target.filesystem:
        require_apart(photographs, Path(target.root))
    if target.local is not None:
        require_ours(photographs, fleet.job(target.local))
    return found


def write_fleet_summary(fleet: Fleet, rows: list[Row]) -> None:
    """Writes summary.parquet, and summary.csv and summary.json as for a folder."""
    store = open_store(fleet.output)
    with tempfile.TemporaryDirectory() as scratch:
        write_summary(Path(scratch), rows)
        table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], SCHEMA)
        pq.write_table(table, f"{scratch}/summary.parquet")
        store.send(Path(scratch))


@dataclasses.dataclass(frozen=True)
class _StoreRecords(Records):
    """Records of what is done in a store, of photographs in another."""

    source: Store
    target: Store

    def state(self, path: Path) -> FileState:
        store = self.target if self.output in path.parents else self.source
        return store.state(path)

    def text(self, path: Path) -> str:
        return self.target.text(path)


def _placement(cluster: Mapping[str, float], machines: list[dict[str, float]]) -> tuple[dict[str, Any], int]:
    """What of Ray's resources a predictor takes, and how many of them suit the cluster."""
    for kind, wanted in (("GPU", {"num_gpus": 1}), ("TPU", {"resources": {"TPU": 1}})):
        if cluster.get(kind):
            return wanted, int(cluster[kind])
    # Without accelerators all cores of a machine, so that there is one on each.
    cores = [machine["CPU"] for machine in machines if machine.get("CPU")]
    return {"num_cpus": min(cores)}, len(cores)


def _named(row: Row, here: Photograph, there: Photograph) -> Row:
    """The row under the photograph's own name instead of that of its copy."""
    # Not where it is but the beginning of another path.
    message = re.sub(rf"{re.escape(str(here.path))}(?![\w/])", lambda found: str(there.path), row.message)
    return dataclasses.replace(row, photograph=str(there.path), message=message)
