"""Calibrates a trained model on photographs that it has not learnt from, and chooses its threshold.

What is found is kept in the checkpoint, and every other program goes by it from then on.
"""

from typing import TYPE_CHECKING

from absl import flags

from spotrust_jax.errors import InputError

from . import analysis_flags, checkpoint_flags, fitted_flags, program, seen_flags

if TYPE_CHECKING:
    from spotrust_jax.calibration.promises import Fear

_DATA = flags.DEFINE_string("data", None, "Data set: images/ and masks/, or one for tfds.", required=True)
_SPLIT = flags.DEFINE_string("split", "validation", "Split to calibrate on.")
# What a user may fear; one of them at most.
_LEVELS: "dict[Fear, flags.FlagHolder]" = {
    "miss_rate": flags.DEFINE_float("miss_rate", None, "Share of corrosion that may be missed in expectation."),
    "false_discovery": flags.DEFINE_float(
        "false_discovery", None, "Share of what is marked that may be no corrosion in expectation."
    ),
    "clean_marked": flags.DEFINE_float(
        "clean_marked", None, "Share of photographs without corrosion that may be marked in expectation."
    ),
}
_TOLERANCE = flags.DEFINE_float(
    "tolerance", 0.01, "Share of its pixels up to which a photograph without corrosion counts as not marked."
)


def main() -> int:
    import dataclasses

    import spotrust_jax
    from spotrust_jax.calibration.conformal import needed_groups
    from spotrust_jax.checkpoints import write_config
    from spotrust_jax.data.datasets import open_path
    from spotrust_jax.evaluation.calibrate import calibrated, candidates, predict_split, quality_of, table
    from spotrust_jax.io.model_folders import locate
    from spotrust_jax.metrics.skill import without_skill

    wanted = _wanted()
    checkpoint = checkpoint_flags.checkpoint()
    fitted_flags.require_output(checkpoint)
    segmenter = spotrust_jax.load(checkpoint).spread(program.devices())[0]
    dataset = open_path(_DATA.value, _SPLIT.value)
    seen_flags.require_unseen(dataset, {checkpoint: segmenter.config}, ["trained_on"])
    observed = predict_split(segmenter, dataset, analysis_flags.analysis(segmenter.config))
    config = calibrated(segmenter.config, observed, wanted)
    if (output := fitted_flags.output()) is None:
        write_config(locate(checkpoint).folder, config)
    else:
        dataclasses.replace(segmenter, config=config).save(output)
    found = {name: quality_of(observed.by_probability, one) for name, one in candidates(observed, config).items()}
    print(table(found))
    print(f"calibrated: sigmoid({config.calibration.slope:.3f} * logit(p) {config.calibration.intercept:+.3f})")
    print(f"threshold: {config.threshold:.4f} ({config.threshold_rule})")
    print("".join(f"  {sentence}\n" for sentence in config.promise.conditions), end="")
    if config.areas.groups:
        print(f"areas: intervals that hold with {config.areas.level:.0%}, from {config.areas.groups} groups")
    else:
        fewest = needed_groups(1 - config.areas.level)
        print(f"areas: no intervals, which take {fewest} groups or more, two with corrosion and two with other pixels")
    program.warn(without_skill(observed.each, observed.groups))
    return 0


def _wanted():
    """What the threshold is to promise; None for the best F1."""
    from spotrust_jax.calibration.promises import PromiseRequest

    given: dict[Fear, float] = {name: flag.value for name, flag in _LEVELS.items() if flag.value is not None}
    if len(given) > 1:
        raise InputError(
            f"--{' and --'.join(given)} are given, and a threshold promises one thing: leave out the others"
        )
    for name, level in given.items():
        if not 0 < level < 1:
            raise InputError(f"--{name}={level} is no share: give a number between 0 and 1")
    if _TOLERANCE.present and "clean_marked" not in given:
        raise InputError(f"--tolerance={_TOLERANCE.value} is of --clean_marked: give that as well, or leave it out")
    if not 0 <= _TOLERANCE.value < 1:
        raise InputError(f"--tolerance={_TOLERANCE.value} is no share: give a number from 0 up and below 1")
    return next((PromiseRequest(name, level, _TOLERANCE.value) for name, level in given.items()), None)


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
