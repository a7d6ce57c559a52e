"""Scores one or several trained models on a labelled split: IoU, F1, precision, recall, accuracy, with intervals."""

from pathlib import Path

from absl import flags

from . import analysis_flags, program

_CHECKPOINT = flags.DEFINE_list("checkpoint", None, "Folders of trained models, separated by commas.", required=True)
_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "test", "Split to score: train, validation, test, fold_0 ..., or all.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for metrics.json, per_image.csv and table.md.", required=True)


def main() -> int:
    import spotrust_jax
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.evaluate import evaluate, write_evaluations

    dataset = open_path(_DATA.value, _SPLIT.value)
    evaluations = []
    for folder in _CHECKPOINT.value:
        segmenter = spotrust_jax.load(folder).spread(program.devices())[0]
        analysis, threshold = analysis_flags.analysis(segmenter.config), analysis_flags.threshold(segmenter.config)
        evaluations.append(evaluate(folder, segmenter, dataset, analysis, threshold))
    print(write_evaluations(Path(_OUTPUT.value), evaluations))
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
