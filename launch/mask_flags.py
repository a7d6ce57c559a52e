"""Which pixels count as corrosion. Flags of every program that makes masks."""

from absl import flags

_CALIBRATED = flags.DEFINE_bool("calibrated", True, "Whether probabilities are calibrated, where the model is.")
_THRESHOLD = flags.DEFINE_float("threshold", None, "Probability of corrosion; each model's own if not given.", 0.0, 1.0)


def calibrated() -> bool:
    """Whether probabilities are to be calibrated."""
    return _CALIBRATED.value


def prepared(model):
    """The segmenter or `CheckpointConfig`, with raw probabilities if the flags ask for them."""
    return model if calibrated() else model.uncalibrated


def threshold(config) -> float:
    """The probability from which on a pixel is marked: the flag's, else the model's own."""
    return config.threshold if _THRESHOLD.value is None else _THRESHOLD.value
