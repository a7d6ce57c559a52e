"""What a report costs a run, and how fast and in how little memory a browser shows one of a large survey.

The name of the module is not report because report.py writes the benchmarks' own tables.
"""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from experiments.benchmarks.inference import random_segmenter, write_photographs
from experiments.benchmarks.measurement import Measurement, summary, timed
from spotrust_jax.batch.folder import analyse_photographs, finish
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.outputs.region_writer import RegionWriter
from spotrust_jax.outputs.writers import Run, described
from spotrust_jax.report.page import write_report
from spotrust_jax.report.writer import ReportWriter

# Network, long side, photographs in a round, and rounds.
_PRESET, _SCALE, _COUNT, _ROUNDS = "w48", 512, 8, 5
# Photographs of a large survey, how many of them differ, and how often the page is opened.
_SURVEYED, _DISTINCT, _OPENED = 2000, 10, 5
# Milliseconds until a page counts as at rest, turns of the wheel through the gallery, and photographs that are opened.
_SETTLED, _SCREENS, _LOOKED_AT = 2000, 100, 10


def report_cost() -> list[Measurement]:
    """Share of a folder's time that --report adds, the page at the end included."""
    segmenter = random_segmenter(_PRESET, _SCALE)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "in").mkdir()
        write_photographs(Path(scratch) / "in", _COUNT, 640)
        listed = list_photographs(f"{scratch}/in")
        plain = Job(Path(scratch) / "plain", Analysis(_SCALE), 0.5)
        asked = _with_report(Job(Path(scratch) / "report", Analysis(_SCALE, decomposed=True), 0.5))
        model = described(segmenter.config, Path("model"), asked.analysis, asked.threshold)

        def without() -> None:
            list(analyse_photographs([segmenter], listed, plain, overwrite=True))

        def with_report() -> None:
            finished = sorted(analyse_photographs([segmenter], listed, asked, overwrite=True))
            finish(asked, Run(asked.output, [item.row for item in finished], model))

        without(), with_report()  # programs compiled
        rounds = np.array([(*timed(without), *timed(with_report)) for _ in range(_ROUNDS)])
    name = f"report, {_PRESET}, {_SCALE} x {_SCALE}"
    return [
        summary(f"{name}, time added", 100 * (rounds[:, 2] / rounds[:, 0] - 1), "%"),
        summary(f"{name}, processor time added", 100 * (rounds[:, 3] / rounds[:, 1] - 1), "%"),
    ]


def report_page() -> list[Measurement]:
    """Seconds until a page of 2,000 photographs is first painted from disk, and the browser's memory."""
    with tempfile.TemporaryDirectory() as scratch:
        page = _large_report(Path(scratch))
        seen = [_seen(page) for _ in range(_OPENED + 1)][1:]
    paint, opened, scrolled = np.array(seen).T
    name = f"report of {_SURVEYED} photographs"
    return [
        summary(f"{name}, first paint", paint, "s"),
        summary(f"{name}, memory of the browser", opened, "MiB"),
        summary(f"{name}, memory after the gallery and ten photographs", scrolled, "MiB"),
    ]


def _large_report(folder: Path) -> Path:
    """A page of few distinct photographs, each many times."""
    segmenter = random_segmenter("w18_small_v1", 64, 4)
    (folder / "in").mkdir()
    write_photographs(folder / "in", _DISTINCT, 640)
    job = _with_report(Job(folder / "out", Analysis(64, 2, decomposed=True), 0.5))
    finished = sorted(analyse_photographs([segmenter], list_photographs(str(folder / "in")), job))
    rows = [finished[number % _DISTINCT].row for number in range(_SURVEYED)]
    model = described(segmenter.config, Path("survey"), job.analysis, job.threshold)
    return write_report(Run(job.output, rows, model), inline=False)


def _with_report(job: Job) -> Job:
    return dataclasses.replace(job, area_draws=0, writers=(RegionWriter(), ReportWriter()))


def _seen(page: Path) -> tuple[float, float, float]:
    """First paint in seconds, and MiB of all of a fresh browser's processes: then, and after looking around."""
    with _browser() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(page.resolve().as_uri())
        tab.wait_for_timeout(_SETTLED)
        (paint,) = tab.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime / 1000)"
        )
        opened = _memory()
        for _ in range(_SCREENS):
            tab.mouse.wheel(0, 2000)
            tab.wait_for_timeout(20)
        tab.locator(".card button").first.click()
        for _ in range(_LOOKED_AT):
            tab.wait_for_timeout(200)
            tab.keyboard.press("ArrowRight")
        tab.wait_for_timeout(_SETTLED)
        return paint, opened, _memory()


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    """Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the extra `dev`
    except ImportError as error:
        raise InputError("the report is measured with playwright: pip install 'spotrust-jax[dev]'") from error
    chromium = shutil.which("chromium")
    if chromium is None:
        raise InputError("there is no chromium to measure the report in: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def _memory() -> float:
    """MiB of the browsers that this process has started; what several processes share is counted once."""
    children = psutil.Process().children(recursive=True)
    return sum(child.memory_full_info().pss for child in children if "chrom" in child.name()) / 2**20
