"""Flags of every program that runs a model on photographs: how, and from where on corrosion is marked."""

from absl import flags

_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 24, "Stochastic passes of each network.", lower_bound=1)
_THRESHOLD = flags.DEFINE_float("threshold", None, "Probability of corrosion; each model's own if not given.", 0.0, 1.0)
_SCALE = flags.DEFINE_string("scale", "trained", "Long side for the analysis: trained, native or PIXELS.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the stochastic passes.")


def analysis(config):
    """How the model of this `CheckpointConfig` analyses photographs."""
    from spotrust_jax.inference.analysis import Analysis, parse_scale

    return Analysis(parse_scale(_SCALE.value, config.inference_size), _NUM_SAMPLES.value, _SEED.value)


def threshold(config) -> float:
    """The probability from which on a pixel is marked: the flag's, else the model's own."""
    return config.threshold if _THRESHOLD.value is None else _THRESHOLD.value
