"""The benchmarks by name, in the order in which they run: who writes another one lists it here."""

from collections.abc import Callable

from spotrust_jax.benchmarks.data import input_pipeline, scenes
from spotrust_jax.benchmarks.inference import folder, large_image, sizes, start
from spotrust_jax.benchmarks.measurement import Measurement

BENCHMARKS: dict[str, Callable[[], list[Measurement]]] = {
    "input_pipeline": input_pipeline,
    "scenes": scenes,
    "start": start,
    "folder": folder,
    "sizes": sizes,
    "large_image": large_image,
}
