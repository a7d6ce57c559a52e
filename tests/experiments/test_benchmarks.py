"""Benchmarks: what the timing says of work whose time is known, small runs of each line, and the program."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import data, inference, passes, report_page
from experiments.benchmarks.measurement import Measurement, summary, throughput
from experiments.benchmarks.registry import BENCHMARKS
from experiments.benchmarks.report import table, write_json
from spotrust_jax.config import ModelConfig

REPOSITORY = Path(__file__).resolve().parents[2]


def test_sleeping_takes_time_but_no_processor():
    speed, processor = throughput("sleep", "nap", lambda: time.sleep(0.05), 10)
    # Ten naps in at least 50 ms, on a busy machine in more.
    assert 50 < speed.value <= 200 and speed.unit == "naps/s" and speed.low <= speed.value <= speed.high
    assert processor.value < 1 and processor.unit == "ms/nap"


def test_summary_is_the_median_with_its_quartiles():
    values = np.array([5.0, 1.0, 2.0, 4.0, 3.0])
    assert summary("x", values, "s") == Measurement("x", 3.0, "s", 2.0, 4.0)


def test_table_and_json_say_the_same(tmp_path):
    rows = [Measurement("one", 1234.5, "images/s", 1000.0, 2000.0), Measurement("another", 0.5, "s", 0.25, 0.75)]
    assert table(rows).splitlines() == [
        "name     value  unit      spread",
        "one      1234   images/s  1000 to 2000",
        "another  0.5    s         0.25 to 0.75",
    ]
    write_json(tmp_path / "new" / "out.json", rows)
    content = json.loads((tmp_path / "new" / "out.json").read_text())
    assert [Measurement(**row) for row in content["measurements"]] == rows
    assert content["environment"]["device"].endswith("cpu") and content["environment"]["jax"]


@pytest.mark.parametrize("name", ["input_pipeline", "scenes"])
def test_each_benchmark_measures_what_it_names(name, monkeypatch):
    monkeypatch.setattr(data, "_SIZES", (32,))
    monkeypatch.setattr(data, "_SIDE", 64)
    monkeypatch.setattr(data, "_PHOTOGRAPHS", 2)
    measurements = BENCHMARKS[name]()
    assert len({m.name for m in measurements}) == len(measurements)
    assert any("32 x 32" in m.name for m in measurements)
    assert all(0 < m.low <= m.value <= m.high for m in measurements)


@pytest.mark.parametrize(("name", "unit"), [("folder", "%"), ("large_image", "us/pixel")])
def test_benchmarks_of_inference(name, unit, monkeypatch):
    small = {"_WIDTH": 4, "_FOLDERS": (("w18_small_v1", 64, 2),), "_ROUNDS": 1, "_LARGE_SIDES": ((64, 1),)}
    for constant, value in {**small, "_LARGE_PASSES": 24}.items():
        monkeypatch.setattr(inference, constant, value)
    measurements = BENCHMARKS[name]()
    assert unit in {m.unit for m in measurements}
    assert all(0 < m.low <= m.value <= m.high for m in measurements)


def test_benchmark_of_passes(monkeypatch):
    small = {"_PRESET": "w18_small_v1", "_SIZE": 64, "_PASSES": 2, "_REPEATS": 1}
    for constant, value in {**small, "_ESTIMATORS": (("dropout", ModelConfig("dropout", width=4)),)}.items():
        monkeypatch.setattr(passes, constant, value)
    measurements = {m.name: m for m in BENCHMARKS["passes"]()}
    plain, two = measurements["P, a plain forward pass, w18_small_v1, 64 x 64"], "dropout, 2 plain passes over 2 passes"
    assert plain.value > 0 and measurements[two].value > 0


@pytest.mark.parametrize("name", ["report_cost", "report_page"])
def test_benchmarks_of_the_report(name, monkeypatch):
    small = {"_PRESET": "w18_small_v1", "_SCALE": 64, "_COUNT": 1, "_ROUNDS": 1, "_OPENED": 1, "_SETTLED": 300}
    for constant, value in {**small, "_SURVEYED": 70, "_DISTINCT": 2, "_SCREENS": 3, "_LOOKED_AT": 1}.items():
        monkeypatch.setattr(report_page, constant, value)
    monkeypatch.setattr(inference, "_WIDTH", 4)
    if name == "report_page":
        pytest.importorskip("playwright", reason="needs playwright: pip install 'spotrust-jax[dev]'")
        if shutil.which("chromium") is None:
            pytest.skip("needs Chromium: apt-get install chromium")
    # In a thread of its own, because the tests of the report may have Playwright at work in this one.
    with ThreadPoolExecutor(1) as threads:
        measurements = threads.submit(BENCHMARKS[name]).result()
    assert {m.unit for m in measurements} == ({"%"} if name == "report_cost" else {"s", "MiB"})
    assert name == "report_cost" or all(m.value > 0 for m in measurements)


def test_unknown_benchmark_is_one_line():
    command = [sys.executable, "-m", "experiments.benchmarks", "--only=scenes,pipelines"]
    result = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "XLA_FLAGS": ""}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"error: there is no benchmark 'pipelines': choose among {', '.join(BENCHMARKS)}"
    ]
