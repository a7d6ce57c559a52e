"""Measures how fast things go on this machine, and prints a table.

python -m experiments.benchmarks --only=passes
"""

from pathlib import Path

from absl import flags

from launch import program
from spotrust_jax.errors import InputError

_ONLY = flags.DEFINE_list("only", [], "Benchmarks to run, separated by commas; all of them if not given.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures, with device, date and versions.")


def main() -> int:
    from tqdm import tqdm

    from experiments.benchmarks.registry import BENCHMARKS
    from experiments.benchmarks.report import table, write_json
    from spotrust_jax.training.environment import environment

    names = _ONLY.value or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"there is no benchmark {unknown[0]!r}: choose among {', '.join(BENCHMARKS)}")
    measurements = [m for name in tqdm(names, unit="benchmark", leave=False) for m in BENCHMARKS[name]()]
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    print(table(measurements))
    if _OUTPUT.value:
        write_json(Path(_OUTPUT.value), measurements)
    return 0


if __name__ == "__main__":
    program.run(main)
