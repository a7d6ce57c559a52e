"""Measures what the review score is worth.

That is, the share of missed corrosion in the photographs that it puts first.
"""

import json
from pathlib import Path

from absl import flags

from . import analysis_flags, checkpoint_flags, mask_flags, program, seen_flags

_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "test", "Split to measure on: train, validation, test, fold_0 ..., or all.")
_SHARE = flags.DEFINE_float("share", 0.2, "Share of the photographs that are looked at again.", 0.0, 1.0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures and those of each photograph.")


def main() -> int:
    import dataclasses

    import spotrust_jax
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.review_study import rankings, review_dataset
    from spotrust_jax.io.atomic_files import write_atomically

    dataset = open_path(_DATA.value, _SPLIT.value)
    segmenter = mask_flags.prepared(spotrust_jax.load(checkpoint_flags.checkpoint())).spread(program.devices())[0]
    seen_flags.require_unseen(dataset, {checkpoint_flags.checkpoint(): segmenter.config}, seen_flags.ALL)
    analysis = dataclasses.replace(analysis_flags.analysis(segmenter.config), decomposed=True)
    reviewed = review_dataset(segmenter, dataset, analysis, mask_flags.threshold(segmenter.config))
    found = rankings(reviewed, _SHARE.value)
    if not found:
        print(f"{len(reviewed)} photographs, of which none has missed corrosion")
    first = f"in the first {_SHARE.value:.0%} of {len(reviewed)} photographs"
    for name, ranking in found.items():
        interval = f"{ranking.low:.1%} to {ranking.high:.1%}"
        print(f"by {name}: {ranking.found:.1%} ({interval}) of the missed corrosion is {first}", end="")
        print(f"; in random order {ranking.random:.1%}, at best {ranking.perfect:.1%}")
    if _OUTPUT.value:
        figures = {name: ranking._asdict() for name, ranking in found.items()}
        photographs = [item._asdict() for item in reviewed]
        write_atomically(
            Path(_OUTPUT.value), json.dumps({"share": _SHARE.value, **figures, "photographs": photographs})
        )
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
