"""Monte-Carlo dropout at the end of each branch (Gal and Ghahramani 2016)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from spotrust_jax.config import DropoutMask
from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.variants.variant import BranchNoise, Features, Sharing, Variant
from spotrust_jax.random import bernoulli

_CODE = """keep, random = {keep}, np.random.default_rng(0)
masks = [random.random({shape}) < keep for x in branches]
branches = [np.where(m, x / np.float32(keep), np.float32(0)) for x, m in zip(branches, masks)]"""


class Dropout(Variant):
    """Elements of the branches, or whole channels, are set to zero, in training and in every sample."""

    name = "dropout"
    # The reference upsamples noisy branches bicubically, plain ones bilinearly.
    interpolation = "bicubic"
    reference_name = "HRNet_do"

    @property
    def noise(self) -> Sharing:
        """Masks of elements are drawn for each cell, those of channels for the whole image."""
        return "cell" if self.model.dropout_mask == "element" else "image"

    @property
    def title(self) -> str:
        """With what is set to zero."""
        return "elementwise dropout" if self.model.dropout_mask == "element" else "dropout of channels"

    def noisy_branches(self, network: nn.Module, features: Features, keys: NoiseKeys | None) -> tuple[FeatureMap, ...]:
        """The branches under one draw of the masks."""
        if keys is None:
            return features.branches
        return tuple(self._dropped(x, keys, branch) for branch, x in enumerate(features.branches))

    @property
    def exported_noise(self) -> str:
        """Factors on the branches."""
        return "mask"

    def branch_noise(self) -> BranchNoise:
        """Masks."""
        shape = "x.shape" if self.model.dropout_mask == "element" else "(*x.shape[:2], 1, 1)"
        code = _CODE.format(keep=round(1 - self.model.dropout_rate, 9), shape=shape)
        return BranchNoise(self._dropped, code, "Draw the masks anew for each sample.")

    def _dropped(self, x: FeatureMap, keys: NoiseKeys, branch: int) -> FeatureMap:
        return dropout(x, keys, branch, rate=self.model.dropout_rate, mask=self.model.dropout_mask)


def dropout(x: FeatureMap, keys: NoiseKeys, branch: int, *, rate: float, mask: DropoutMask) -> FeatureMap:
    """Sets elements, or whole channels of an image, to zero with probability `rate` and scales the rest up.

    Elementwise masks are independent from cell to cell, channel masks hold all over an image.
    """
    per_image = keys.cells if mask == "element" else keys.masks
    shape = x.shape[1:] if mask == "element" else (1, 1, x.shape[-1])
    keep = jax.vmap(lambda key: bernoulli(jax.random.fold_in(key, branch), 1.0 - rate, shape))(per_image)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))
