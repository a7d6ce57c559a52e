"""Calibrates a trained model on photographs that it has not learnt from, and chooses its threshold.

What is found is kept in the checkpoint, and every other program goes by it from then on.
"""

from absl import flags

from spotrust_jax.errors import InputError

from . import analysis_flags, checkpoint_flags, fitted_flags, program, seen_flags

_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "validation", "Split to calibrate on.")
_MISS_RATE = flags.DEFINE_float(
    "miss_rate", None, "Share of corrosion that a new photograph may miss in expectation; else the best F1 decides."
)


def main() -> int:
    import dataclasses

    import spotrust_jax
    from spotrust_jax.calibration.areas import needed_groups
    from spotrust_jax.checkpoints import write_config
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.calibrate import calibrated, candidates, predict_split, quality_of, table
    from spotrust_jax.io.model_folders import locate
    from spotrust_jax.metrics.skill import without_skill

    if _MISS_RATE.value is not None and not 0 < _MISS_RATE.value < 1:
        raise InputError(f"--miss_rate={_MISS_RATE.value} is no share: give a number between 0 and 1")
    checkpoint = checkpoint_flags.checkpoint()
    fitted_flags.require_output(checkpoint)
    segmenter = spotrust_jax.load(checkpoint).spread(program.devices())[0]
    dataset = open_path(_DATA.value, _SPLIT.value)
    seen_flags.require_unseen(dataset, {checkpoint: segmenter.config}, ["trained_on"])
    observed = predict_split(segmenter, dataset, analysis_flags.analysis(segmenter.config))
    config = calibrated(segmenter.config, observed, _MISS_RATE.value)
    if (output := fitted_flags.output()) is None:
        write_config(locate(checkpoint).folder, config)
    else:
        dataclasses.replace(segmenter, config=config).save(output)
    found = {name: quality_of(observed.by_probability, one) for name, one in candidates(observed, config).items()}
    print(table(found))
    print(f"calibrated: sigmoid({config.calibration.slope:.3f} * logit(p) {config.calibration.intercept:+.3f})")
    print(f"threshold: {config.threshold:.4f} ({config.threshold_rule})")
    if config.areas.groups:
        print(f"areas: intervals that hold with {config.areas.level:.0%}, from {config.areas.groups} groups")
    else:
        print(f"areas: no intervals, which need photographs of {needed_groups()} groups or more")
    program.warn(without_skill(observed.each, observed.groups))
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
