"""The benchmarks by name, in the order in which they run: who writes another one lists it here."""

from collections.abc import Callable

from spotrust_jax.benchmarks.data import input_pipeline, scenes
from spotrust_jax.benchmarks.inference import folder, large_image, sizes, start
from spotrust_jax.benchmarks.measurement import Measurement
from spotrust_jax.benchmarks.passes import growth, pass_memory, passes
from spotrust_jax.benchmarks.report_page import report_cost, report_page
from spotrust_jax.benchmarks.training import compilation, training_step, training_throughput

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
