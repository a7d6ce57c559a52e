"""Reports of photographs whose maps are known functions of their pixels."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from spotrust_jax.batch.folder import analyse_photographs, finish
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.outputs.region_writer import RegionWriter
from spotrust_jax.outputs.writers import Model, Run
from spotrust_jax.report.writer import ReportWriter
from tests.inference.known_segmenter import KnownSegmenter

REPORTED = {"area_draws": 0, "writers": (RegionWriter(), ReportWriter())}
MODEL = Model("known", "deterministic, w18_small_v1", 24, 64, 0.5)


def job_of(folder: Path, **changes) -> Job:
    job = Job(folder, Analysis(None, 2, decomposed=True), 0.5, **REPORTED)
    return dataclasses.replace(job, **changes)


def publish(folder: Path, rows, model=MODEL, *, inline: bool | None = None) -> Path:
    """What a job leaves at its end; the report's path."""
    job = job_of(folder, writers=(RegionWriter(), ReportWriter(inline)))
    (page,) = finish(job, Run(folder, rows, model))
    return page


def surveyed(source: Path, job: Job, segmenter=None):
    """The rows of a folder of photographs."""
    photographs = list_photographs(str(source))
    return [f.row for f in sorted(analyse_photographs([segmenter or KnownSegmenter()], photographs, job))]


def reported(source: Path, folder: Path, *, threshold=0.5, **options):
    """The report's path, and the rows."""
    rows = surveyed(source, job_of(folder, threshold=threshold))
    return publish(folder, rows, dataclasses.replace(MODEL, threshold=threshold), **options), rows


def blobs(rng, height, width):
    """A photograph that is smooth enough to have regions."""
    small = Image.fromarray(rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def write_photographs(folder: Path, names, *, seed=0, size=(96, 128)):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blobs(rng, *size)).save(path)
