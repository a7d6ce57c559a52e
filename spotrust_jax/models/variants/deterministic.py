"""The network without noise; several of them are an ensemble."""

from spotrust_jax.models.variants.variant import Variant


class Deterministic(Variant):
    """HRNetV2 as it was published."""

    name = "deterministic"
    reference_name = "HRNet"
