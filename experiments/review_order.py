"""Which order of photographs finds more of the corrosion that the masks miss, when only the first ones are looked at.

python -m experiments.review_order --data=DATA
Detector inspection-1, the 180 validation photographs of its sites, first 20%: expected missed area 33.5% (26.4% to
44.2%), entropy 32.6% (27.0% to 45.8%), random order 20.0%, best order 64.1% (2026-11-28).
"""

import json
from pathlib import Path

from absl import app, flags

import spotrust_jax
from experiments.missed_corrosion import rankings, review_dataset
from spotrust_jax.data.datasets import open_path
from spotrust_jax.inference.analysis import default_analysis
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.io.model_folders import DEFAULT

_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "validation", "Split to measure on.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", DEFAULT, "Model.")
_SHARE = flags.DEFINE_float("share", 0.2, "Share of the photographs that are looked at.", 0.0, 1.0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures of each photograph.")


def main(_: list[str]) -> None:
    """Prints what each order finds."""
    segmenter = spotrust_jax.load(_CHECKPOINT.value)
    analysis = default_analysis(segmenter.config, decomposed=True)
    reviewed = review_dataset(segmenter, open_path(_DATA.value, _SPLIT.value), analysis)
    print(f"missed corrosion in the first {_SHARE.value:.0%} of {len(reviewed)} photographs, {_SPLIT.value} split:")
    for name, ranking in rankings(reviewed, _SHARE.value).items():
        interval = f"{ranking.low:.1%} to {ranking.high:.1%}"
        bounds = f"random order {ranking.random:.1%}, best order {ranking.perfect:.1%}"
        print(f"by {name}: {ranking.found:.1%} ({interval}); {bounds}")
    if _OUTPUT.value:
        write_atomically(Path(_OUTPUT.value), json.dumps([one._asdict() for one in reviewed], indent=1))


if __name__ == "__main__":
    app.run(main)
