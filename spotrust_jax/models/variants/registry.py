"""The variants by name."""

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.fields import shown
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.variants.deterministic import Deterministic
from spotrust_jax.models.variants.dropout import Dropout
from spotrust_jax.models.variants.laplace import LastLayerLaplace
from spotrust_jax.models.variants.logit_noise import LogitNoise
from spotrust_jax.models.variants.variant import Variant
from spotrust_jax.models.variants.variational import Variational

_ALL = (Deterministic, Variational, Dropout, LastLayerLaplace, LogitNoise)

VARIANTS: dict[str, type[Variant]] = {variant.name: variant for variant in _ALL}


def variant_of(model: ModelConfig) -> Variant:
    """The variant of a model, under its settings.

    Raises:
        InputError: where no variant or preset has that name, or the settings do not go together.
    """
    if model.variant not in VARIANTS:
        names = ", ".join(map(repr, VARIANTS))
        raise InputError(f"model.variant is {shown(model.variant)}: choose one of {names}")
    architecture(model.preset, width=model.width, final_kernel=model.final_kernel)
    return VARIANTS[model.variant](model)
