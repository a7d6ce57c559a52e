"""Which model runs."""

from absl import flags

from spotrust_jax.io.model_folders import DEFAULT

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    DEFAULT,
    "Model: a name that `spotrust models` lists, a folder such as RUN/best, or a .safetensors file.",
)


def checkpoint() -> str:
    """What the flag names."""
    return _CHECKPOINT.value
