"""Scores trained models on a labelled split.

Masks, probabilities and uncertainties as tables and figures, with intervals over groups of photographs; of several
models the differences, too.
"""

import functools
from pathlib import Path

from absl import flags

from spotrust_jax.io.model_folders import DEFAULT

from . import analysis_flags, mask_flags, program, seen_flags

_CHECKPOINT = flags.DEFINE_list(
    "checkpoint", [DEFAULT], "Models: names that `spotrust models` lists, folders or files, separated by commas."
)
_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "test", "Split to score: train, validation, test, fold_0 ..., or all.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for tables, numbers and figures.", required=True)
_OUT_OF_DISTRIBUTION = flags.DEFINE_string(
    "out_of_distribution",
    None,
    "Photographs out of distribution, which uncertainty should detect: file, folder or glob.",
)
_PATCH = flags.DEFINE_integer("patch", 4, "Side in pixels of the patches of PAvPU.", lower_bound=1)
_FIGURES = flags.DEFINE_integer("figures", 4, "Photographs that the figures show; 0 for no figures.", lower_bound=0)


def main() -> int:
    import spotrust_jax
    from spotrust_jax.checkpoints import read_config
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.evaluate import evaluate, evaluate_out_of_distribution
    from spotrust_jax.evaluation.figures import Figures
    from spotrust_jax.evaluation.plots import write_plots
    from spotrust_jax.evaluation.tables import write_evaluations
    from spotrust_jax.inference.preprocessing import Images
    from spotrust_jax.metrics.skill import without_skill

    dataset = open_path(_DATA.value, _SPLIT.value)
    configs = {checkpoint: read_config(checkpoint) for checkpoint in _CHECKPOINT.value}
    seen_flags.require_unseen(dataset, configs, seen_flags.ALL)
    ood = None if _OUT_OF_DISTRIBUTION.value is None else Images(_OUT_OF_DISTRIBUTION.value)
    figures, evaluations, ood_evaluations = Figures(_FIGURES.value), [], []
    for folder in _CHECKPOINT.value:
        segmenter = mask_flags.prepared(spotrust_jax.load(folder)).spread(program.devices())[0]
        analysis, threshold = analysis_flags.analysis(segmenter.config), mask_flags.threshold(segmenter.config)
        look = functools.partial(figures.add, folder, threshold=threshold)
        found = evaluate(folder, segmenter, dataset, analysis, threshold, patch=_PATCH.value, look=look)
        evaluations.append(found)
        look = functools.partial(figures.add_out_of_distribution, folder, threshold=threshold)
        ood_evaluations.append(ood and evaluate_out_of_distribution(segmenter, ood, analysis, threshold, look=look))
    output = Path(_OUTPUT.value)
    print(write_evaluations(output, evaluations, ood_evaluations))
    for found in evaluations:
        program.warn(without_skill([one.by_probability for one in found.each], found.groups), found.model)
    if _FIGURES.value:
        figures.write(output / "figures")
        write_plots(output / "figures", evaluations)
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
