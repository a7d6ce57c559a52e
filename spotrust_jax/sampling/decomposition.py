"""The uncertainty of each pixel divided into what is within single samples and what samples disagree about.

Everything here is of raw samples; calibration comes after it and leaves it as it is.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class SampleTerms(NamedTuple):
    """What of each sample the decomposition is made of: of one, or sums or means of several.

    Attributes:
        complement: 1 - p, exact where p rounds to 1.
        entropy: of a label with probability p, in nats.
        variance: of such a label, p (1 - p).
    """

    complement: Float[Array, "*shape"]
    entropy: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]


class Decomposition(NamedTuple):
    """Entropies are in nats.

    Attributes:
        entropy: of the mean probability, in [0, log 2]: everything that is not known about the label.
        mutual_information: between label and sample (or member), in [0, log 2]: the entropy without the mean entropy of
            single samples, so what samples disagree about (Houlsby et al. 2011).
        pass_variance: mean over samples of p (1 - p), in [0, 1/4]; with the squared epistemic standard deviation it
            makes m (1 - m), m the mean probability.
        expected_entropy: mean entropy of single samples, in [0, log 2]: the aleatoric part of the entropy, mutual
            information being the epistemic one (Depeweg et al. 2018).
    """

    entropy: Float[Array, "*shape"]
    mutual_information: Float[Array, "*shape"]
    pass_variance: Float[Array, "*shape"]
    expected_entropy: Float[Array, "*shape"]


def no_terms(like: Float[Array, "*shape"]) -> SampleTerms:
    """Sums over no samples."""
    zero = jnp.zeros_like(like)
    return SampleTerms(zero, zero, zero)


def sample_terms(logits: Float[Array, "*shape"]) -> SampleTerms:
    """Of one sample; none of them loses its digits where logits are large."""
    size = jnp.abs(logits)
    complement = jax.nn.sigmoid(-logits)
    entropy = jax.nn.softplus(-size) + size * jax.nn.sigmoid(-size)
    return SampleTerms(complement, entropy, jax.nn.sigmoid(logits) * complement)


def decompose(mean: Float[Array, "*shape"], terms: SampleTerms) -> Decomposition:
    """From the mean probability and the means of the terms over all samples."""
    # From the smaller of the two, which has not been rounded to 1.
    small = jnp.minimum(mean, terms.complement)
    entropy = jax.scipy.special.entr(small) - (1.0 - small) * jnp.log1p(-small)
    return Decomposition(entropy, jnp.maximum(entropy - terms.entropy, 0.0), terms.variance, terms.entropy)
