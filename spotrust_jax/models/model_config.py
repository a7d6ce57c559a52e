"""Which network a model is."""

import dataclasses
from typing import Annotated, Literal

from spotrust_jax.fields import BelowOne, PositiveFloat, Range, Ranged
from spotrust_jax.models.presets import architecture

Estimator = Literal["local_reparameterization", "kernel", "flipout"]
DropoutMask = Literal["element", "channel"]


@dataclasses.dataclass(frozen=True)
class ModelConfig(Ranged, section="model"):
    """Which network.

    Attributes:
        variant: name of one of `models.variants.registry.VARIANTS`: "deterministic", "variational", "dropout" or, made
            of a trained deterministic network, "laplace", which draws weights of the last layer, or "logit_noise",
            whose logit has noise of a variance that it predicts.
        preset: one of `presets.PRESETS`.
        width: channels of the finest branch where not the preset's, else 0.
        final_kernel: side of the head's last convolution, 1 or 3.
        estimator: variational: "local_reparameterization" draws activations, "kernel" draws kernels once a sample, and
            "flipout" turns their signs for each image.
        prior_std: variational: standard deviation of the weights' normal prior, mean 0.
        dropout_rate: dropout: probability that an element is set to zero.
        dropout_mask: dropout: "element", or "channel" for masks that hold all over an image.
        dtype: precision of computation, "float32" or "bfloat16".
    """

    variant: str = "variational"
    preset: str = "w48"
    width: Annotated[int, Range(0, 4096, what="channels")] = 0
    final_kernel: Annotated[int, Range(1, 3, what="pixels")] = 1
    estimator: Estimator = "local_reparameterization"
    prior_std: PositiveFloat = 0.1
    dropout_rate: BelowOne = 0.5
    dropout_mask: DropoutMask = "element"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        architecture(self.preset, width=self.width, final_kernel=self.final_kernel)
        super().__post_init__()
