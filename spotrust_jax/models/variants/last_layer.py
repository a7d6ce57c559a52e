"""What the variants of the last layer share: their samples start from the activations that this layer sees."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from spotrust_jax.errors import InputError
from spotrust_jax.models.resize import resize
from spotrust_jax.models.variants.variant import BranchNoise, Features, Variant
from spotrust_jax.typing import Dimension

Cells = Float[Array, "batch h w"]


class LastLayer(Variant):
    """Base of variants whose last layer, a 1x1 convolution, is fitted to a trained deterministic network."""

    post_hoc = True

    def __post_init__(self) -> None:
        """Raises an `InputError` for a head whose last layer sees more than one cell."""
        if self.model.final_kernel != 1:
            raise InputError(f"model.final_kernel is {self.model.final_kernel}: variant {self.name} is for 1 alone")

    def branch_noise(self) -> BranchNoise:
        """Always an error: the decoder has no place for this noise."""
        raise self.without_branch_noise()

    def logits(self, network: nn.Module, features: Features) -> Cells:
        """Logits of each cell by the trained last layer, float32."""
        (activations,) = features.branches
        return network.head.logit(activations)[..., 0].astype(jnp.float32)

    def enlarged(self, cells: Cells, size: tuple[Dimension, ...]) -> Float[Array, "batch height width"]:
        """Cells at `size` (height, width)."""
        return resize(cells[..., None], size, self.interpolation)[..., 0]
