"""The benchmarks by name, in the order in which they run: who writes another one lists it here."""

from collections.abc import Callable

from experiments.benchmarks.data import input_pipeline, scenes
from experiments.benchmarks.inference import folder, large_image, sizes, start
from experiments.benchmarks.measurement import Measurement
from experiments.benchmarks.passes import growth, pass_memory, passes
from experiments.benchmarks.report_page import report_cost, report_page
from experiments.benchmarks.training import compilation, training_step, training_throughput

BENCHMARKS: dict[str, Callable[[], list[Measurement]]] = {
    "input_pipeline": input_pipeline,
    "scenes": scenes,
    "start": start,
    "folder": folder,
    "sizes": sizes,
    "large_image": large_image,
    "report_cost": report_cost,
    "report_page": report_page,
    "passes": passes,
    "growth": growth,
    "pass_memory": pass_memory,
    "training_step": training_step,
    "compilation": compilation,
    "training_throughput": training_throughput,
}
