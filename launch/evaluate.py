"""Scores one or several trained models on a labelled split: IoU, F1, precision, recall, accuracy, with intervals."""

from pathlib import Path

from absl import flags

from . import program

_CHECKPOINT = flags.DEFINE_list("checkpoint", None, "Folders of trained models, separated by commas.", required=True)
_DATA = flags.DEFINE_string("data", None, "Folder with images/, masks/ and, optionally, splits.csv.", required=True)
_SPLIT = flags.DEFINE_string("split", "test", "Split to score: train, validation, test or all.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for metrics.json, per_image.csv and table.md.", required=True)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 24, "Stochastic passes of each network.", lower_bound=1)
_THRESHOLD = flags.DEFINE_float("threshold", None, "Probability of corrosion; each model's own if not given.", 0.0, 1.0)
_SCALE = flags.DEFINE_string("scale", "trained", "Long side for the analysis: trained, native or PIXELS.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the stochastic passes.")


def main() -> int:
    import spotrust_jax
    from spotrust_jax.data.folder import FolderDataset
    from spotrust_jax.evaluation.evaluate import evaluate, write_evaluations
    from spotrust_jax.inference.analysis import Analysis, parse_scale

    dataset = FolderDataset(_DATA.value, _SPLIT.value)
    evaluations = []
    for folder in _CHECKPOINT.value:
        segmenter = spotrust_jax.load(folder)
        scale = parse_scale(_SCALE.value, segmenter.config.inference_size)
        analysis = Analysis(scale, _NUM_SAMPLES.value, _SEED.value)
        evaluations.append(evaluate(folder, segmenter, dataset, analysis, _THRESHOLD.value))
    print(write_evaluations(Path(_OUTPUT.value), evaluations))
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
