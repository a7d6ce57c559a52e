"""Many photographs at once: reading, computing on all devices, and writing overlap, in bounded memory."""

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.batch.photograph_job import Job, Loaded, failed, predict, read, write
from spotrust_jax.batch.records import Records
from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.images import count_pixels
from spotrust_jax.models.mismatch import MismatchError
from spotrust_jax.outputs.map_files import Result
from spotrust_jax.outputs.summary import Row, write_summary
from spotrust_jax.outputs.survey import write_survey
from spotrust_jax.outputs.writers import Run

# Pixels of the photographs that are in memory at a time, for each device and once more.
_PIXELS_IN_FLIGHT = 50_000_000
# Photographs that are worked on at a time, for each device and once more.
_PHOTOGRAPHS_IN_FLIGHT = 4


class InterruptedAnalysisError(Exception):
    """A photograph was given up because the run ends."""


class Finished(NamedTuple):
    """A photograph's line of the summary, and whether an earlier run had made its maps."""

    index: int
    row: Row
    earlier: bool


def analyse_photographs(
    segmenters: Sequence[Segmenter], photographs: Sequence[Photograph], job: Job, *, overwrite: bool = False
) -> Iterator[Finished]:
    """Writes the maps of photographs and gives their lines, with their index, in the order in which they are done.

    Photographs that an earlier run has done with the same settings are not done again, unless `overwrite`. One that
    cannot be analysed gives a line with status "failed" and the reason. If the caller stops, by an exception or Ctrl-C,
    what is being written is finished and nothing else begun.

    Args:
        segmenters: one on each device; a photograph is computed on whichever is free.
        photographs: what to analyse.
        job: how, and where the maps go.
        overwrite: whether to do again what is done.

    Raises:
        MismatchError: at the first photograph, where the model's variables are not those of its network.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    records = job.records(segmenters[0])
    stages = _Stages(segmenters, job, records)
    limit = _PIXELS_IN_FLIGHT * (len(segmenters) + 1)
    smallest = limit // (_PHOTOGRAPHS_IN_FLIGHT * (len(segmenters) + 1))
    working: dict[Future, tuple[int, int]] = {}
    with stages:
        for index, photograph in enumerate(photographs):
            row = None if overwrite else records.find(photograph, *job.inputs(photograph))
            if row is not None:
                yield Finished(index, row, earlier=True)
                continue
            pixels = min(limit, max(smallest, _pixels(photograph)))
            while sum(taken for _, taken in working.values()) + pixels > limit:
                yield from _next_finished(working)
            working[stages.start(photograph)] = (index, pixels)
        while working:
            yield from _next_finished(working)


def analyse_photograph(segmenter: Segmenter, photograph: Photograph, job: Job) -> Row:
    """Writes the maps of one photograph and returns its line of the summary."""
    return next(analyse_photographs([segmenter], [photograph], job, overwrite=True)).row


def finish(job: Job, run: Run) -> list[Path]:
    """Writes summary, survey and what the job's writers write at the end of a run; gives the pages that people open."""
    write_summary(run.output, run.rows, f"summary{run.suffix}")
    write_survey(run.output, run.rows, run.model.areas, f"survey{run.suffix}")
    return [page for page in [writer.finish(run) for writer in job.writers] if page is not None]


class _Stages:
    """Threads for each of the three steps; none of them waits for a later one."""

    def __init__(self, segmenters: Sequence[Segmenter], job: Job, records: Records):
        self._job, self._records, self._config = job, records, segmenters[0].config
        self._free: queue.SimpleQueue[Segmenter] = queue.SimpleQueue()
        for segmenter in segmenters:
            self._free.put(segmenter)
        helpers = min(16, max(2, (os.cpu_count() or 2) // 2))
        self._readers, self._writers = ThreadPoolExecutor(helpers), ThreadPoolExecutor(helpers)
        self._computers = ThreadPoolExecutor(len(segmenters))
        self._stopped = threading.Event()
        self._mismatch: MismatchError | None = None

    def start(self, photograph: Photograph) -> Future:
        """Begins with a photograph; the future's result is its row."""
        loaded = self._readers.submit(read, photograph, self._job)
        result = self._computers.submit(self._predict, loaded)
        return self._writers.submit(self._write, photograph, loaded, result)

    def __enter__(self) -> "_Stages":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        for pool in (self._readers, self._computers, self._writers):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._readers, self._computers, self._writers):
            pool.shutdown()

    def _predict(self, loaded: "Future[Loaded]") -> Result:
        read_in = loaded.result()
        segmenter = self._free.get()
        try:
            self._go_on()
            return predict(segmenter, read_in, self._job, self._go_on)
        except MismatchError as error:
            self._mismatch = error
            raise
        finally:
            self._free.put(segmenter)

    def _write(self, photograph: Photograph, loaded: "Future[Loaded]", result: "Future[Result]") -> Row:
        try:
            return write(loaded.result(), result.result(), photograph, self._job, self._records, self._config)
        except MismatchError:
            raise
        except InputError as error:
            return failed(photograph, error)
        except OSError as error:
            remedy = "check that there is room and that it may be written"
            return failed(photograph, InputError(f"maps of {photograph.path} cannot be written ({error}): {remedy}"))

    def _go_on(self) -> None:
        if self._mismatch:
            raise self._mismatch
        if self._stopped.is_set():
            raise InterruptedAnalysisError


def _next_finished(working: dict[Future, tuple[int, int]]) -> Iterator[Finished]:
    for future in wait(working, return_when=FIRST_COMPLETED).done:
        index, _ = working.pop(future)
        yield Finished(index, future.result(), earlier=False)


def _pixels(photograph: Photograph) -> int:
    try:
        return count_pixels(photograph.path)
    except InputError:  # which reading it will report
        return 0
