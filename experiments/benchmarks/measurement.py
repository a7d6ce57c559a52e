"""Timing: a function called again and again, after a warm-up, to a median with its spread."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Measurement(NamedTuple):
    """A figure: the median of several, and the quartiles below and above it."""

    name: str
    value: float
    unit: str
    low: float
    high: float


def throughput(name: str, items: str, work: Callable[[], None], count: int, *, repeats: int = 7) -> list[Measurement]:
    """How many items a second `work` does, which does `count` of them a call and has done some to warm up.

    The second measurement, processor time over all threads, says how many an idle machine would do where this one is
    busy. Time of other processes does not count.
    """
    seconds, processor = np.array([timed(work) for _ in range(repeats)]).T
    return [
        summary(name, count / seconds, f"{items}s/s"),
        summary(f"{name}, processor time", 1e3 * processor / count, f"ms/{items}"),
    ]


def rate(name: str, items: str, work: Callable[[], None], count: int, *, repeats: int = 7) -> Measurement:
    """The first of the two alone, for work that other processes do."""
    return throughput(name, items, work, count, repeats=repeats)[0]


def summary(name: str, values: np.ndarray, unit: str) -> Measurement:
    """Median and quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return Measurement(name, median, unit, low, high)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that pass, and seconds of the processor in all threads."""
    passed, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - passed, time.process_time() - processor
