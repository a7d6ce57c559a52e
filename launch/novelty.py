"""Fits a model's novelty, by which it refuses photographs that are not of a kind that it knows.

Compares with photographs that it was trained on; the limit is chosen on others. It takes no labels.
"""

from collections.abc import Sequence

from absl import flags

from spotrust_jax.errors import InputError

from . import analysis_flags, checkpoint_flags, fitted_flags, program, seen_flags

_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_TRAINING = flags.DEFINE_string("training", "train", "Split that the model was trained on.")
_SPLIT = flags.DEFINE_string("split", "validation", "Split that it was not trained on, which the limit is chosen on.")


def main() -> int:
    import dataclasses

    import spotrust_jax
    from spotrust_jax.calibration.novelty import SHARE, NoveltyCalibration, fit_known_features
    from spotrust_jax.checkpoints import write_config, write_known_features
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.features import feature_set
    from spotrust_jax.io.model_folders import NOVELTY_NAME, locate

    checkpoint = checkpoint_flags.checkpoint()
    fitted_flags.require_output(checkpoint)
    segmenter = spotrust_jax.load(checkpoint).spread(program.devices()[:1])[0]
    training, held_out = (open_path(_DATA.value, split) for split in (_TRAINING.value, _SPLIT.value))
    _require_apart(training.names, held_out.names)
    seen_flags.require_unseen(held_out, {checkpoint: segmenter.config}, ["trained_on"])
    analysis = analysis_flags.analysis(segmenter.config)
    features, others = (feature_set(segmenter, dataset, analysis) for dataset in (training, held_out))
    known = fit_known_features(features, others)
    groups = len(set(others.groups))
    calibration = NoveltyCalibration(NOVELTY_NAME, SHARE, len(features.pooled), groups)
    config = dataclasses.replace(segmenter.config, novelty=calibration)
    if (output := fitted_flags.output()) is None:
        write_known_features(locate(checkpoint).folder, known)
        write_config(locate(checkpoint).folder, config)
    else:
        dataclasses.replace(segmenter, config=config, known=known).save(output)
    flagged = sum(known.novelty(one).novel for one in others.pooled)
    print(f"novelty: {calibration.photographs} photographs of the training are known")
    print(f"limit: exceeded by {flagged} of {len(others.groups)} held-out photographs in {groups} groups")
    return 0


def _require_apart(training: Sequence[str], held_out: Sequence[str]) -> None:
    """Raises an `InputError` for a photograph in both splits: its distance is 0, which makes the limit too small."""
    shared = sorted(set(training) & set(held_out))
    if shared:
        splits = f"--training={_TRAINING.value} and --split={_SPLIT.value}"
        raise InputError(f"{splits} share {len(shared)} photographs, such as {shared[0]}: give splits that share none")


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
