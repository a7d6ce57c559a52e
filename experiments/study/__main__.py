"""Trains and measures all variants, on synthetic scenes and on labelled photographs.

python -m experiments.study --workdir=runs/study --data=DATA --out_of_distribution=PHOTOGRAPHS

It goes on where it was stopped. With --full it trains four times as long, and on the survey scenes too.
"""

import time
from pathlib import Path

from absl import flags

from launch import program

_WORKDIR = flags.DEFINE_string("workdir", "runs/study", "Folder for everything that the study writes.")
_DATA = flags.DEFINE_string("data", None, "Labelled photographs: images/, masks/ and splits.csv; else scenes alone.")
_OUT_OF_DISTRIBUTION = flags.DEFINE_string(
    "out_of_distribution", None, "Photographs out of distribution: file, folder or glob."
)
_FULL = flags.DEFINE_bool("full", False, "Train longer, and on more data sets.")

_LONGER = 4


def main() -> int:
    import jax

    from experiments.study.config import get_config
    from experiments.study.datasets import photograph_parts, scene_parts, survey_parts
    from experiments.study.measure import measure
    from experiments.study.models import models, train_all
    from experiments.study.tables import write_study
    from spotrust_jax.io.atomic_files import write_atomically

    start, workdir, texts = time.monotonic(), Path(_WORKDIR.value), []
    data = [scene_parts(_OUT_OF_DISTRIBUTION.value)]
    data += [survey_parts(_OUT_OF_DISTRIBUTION.value)] if _FULL.value else []
    data += [photograph_parts(Path(_DATA.value), _OUT_OF_DISTRIBUTION.value)] if _DATA.value else []
    for parts in data:
        folder = workdir / parts.name
        train_all(parts, folder, get_config, program.devices(), _LONGER if _FULL.value else 1)
        measured = [measure(model, parts) for model in models(folder, parts)]
        texts.append(write_study(folder, parts.name, measured))
        # A program takes hundreds of the 65,530 memory mappings that Linux allows a process, a data set up to 30,000.
        jax.clear_caches()
    minutes = (time.monotonic() - start) / 60
    texts.append(f"{minutes:.0f} minutes on {jax.devices()[0].device_kind}, jax {jax.__version__}.\n")
    write_atomically(workdir / "study.md", "\n".join(texts))
    print("\n".join(texts))
    return 0


if __name__ == "__main__":
    program.run(main)
