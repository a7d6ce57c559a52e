"""How photographs are analysed. Flags of every program that runs a model on some."""

from absl import flags

_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 24, "Stochastic passes of each network.", lower_bound=1)
_SCALE = flags.DEFINE_string("scale", "trained", "Long side for the analysis: trained, native or PIXELS.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the stochastic passes.")
_TILE_SIZE = flags.DEFINE_integer(
    "tile_size", None, "Longest side analysed in one piece; 1024, or the trained scale where that is more."
)
_OVERLAP = flags.DEFINE_integer("overlap", None, "Pixels that neighbouring tiles share; an eighth of tile_size.")
_TTA = flags.DEFINE_bool("tta", False, "Test-time augmentation: mirrored, turned, scaled; 8 times as slow.")


def analysis(config):
    """How the model of this `CheckpointConfig` analyses photographs."""
    from spotrust_jax.inference.analysis import Analysis, default_overlap, default_tile_size, parse_scale

    tile_size = default_tile_size(config.inference_size) if _TILE_SIZE.value is None else _TILE_SIZE.value
    return Analysis(
        parse_scale(_SCALE.value, config.inference_size),
        _NUM_SAMPLES.value,
        _SEED.value,
        tile_size,
        default_overlap(tile_size) if _OVERLAP.value is None else _OVERLAP.value,
        _TTA.value,
    )
