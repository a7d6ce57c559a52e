"""Training losses of labels: cross-entropy and its relatives.

`training/objective.py` chooses among them; the divergence from a prior belongs to the variant that has one.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from spotrust_jax.config import Bounding
from spotrust_jax.random import normal


def bound_log_variance(
    log_variance: Float[Array, "*shape"], bound: float, bounding: Bounding
) -> Float[Array, "*shape"]:
    """Log variance within [-bound, bound]: "smooth" by tanh, whose gradient never vanishes, or "clamp"."""
    if bounding == "clamp":
        return jnp.clip(log_variance, -bound, bound)
    return bound * jnp.tanh(log_variance / bound)


def weighted_cross_entropy(
    logits: Float[Array, "*shape"], labels: Float[Array, "*shape"], positive_weight: float
) -> Float[Array, "*shape"]:
    """Binary cross-entropy in nats for every pixel; corrosion counts `positive_weight` times.

    A weight w moves the optimal logit up by log w: raw probabilities are too high by that much until calibrated.
    """
    weight = 1.0 + (positive_weight - 1.0) * labels
    return weight * optax.sigmoid_binary_cross_entropy(logits, labels)


def focal_loss(
    logits: Float[Array, "*shape"], labels: Float[Array, "*shape"], positive_weight: float, gamma: float
) -> Float[Array, "*shape"]:
    """Weighted cross-entropy times (1 - p)^gamma for every pixel, p the probability of its label. Lin et al. 2017.

    The paper's balance alpha against 1 - alpha is here the weight of corrosion against 1, as in the cross-entropy.
    """
    weight = 1.0 + (positive_weight - 1.0) * labels
    return weight * optax.losses.sigmoid_focal_loss(logits, labels, gamma=gamma)


def dice_loss(
    logits: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    scored: Bool[Array, "batch height width"] | None = None,
) -> Float[Array, "batch"]:
    """One minus the Dice coefficient (2 I + 2) / (P + T + 2) of each image, in [0, 1]. Milletari et al. 2016.

    I sums the probability over corroded pixels, P over all, T counts the corroded ones; the 2 keeps images without
    corrosion defined. By image, so that a mean over a batch does not depend on how devices or pieces divide it. Of the
    `scored` pixels, all of them unless given.
    """
    if scored is not None:
        # A probability of exactly 0 where nothing is known counts in none of the sums.
        logits, labels = jnp.where(scored, logits, -jnp.inf), jnp.where(scored, labels, 0.0)
    return optax.losses.dice_loss(logits[..., None], labels[..., None], smooth=1.0)


def mean_of_scored(values: Float[Array, "*shape"], scored: Bool[Array, "*shape"] | None = None) -> Float[Array, ""]:
    """Mean over the pixels that are scored, all of them unless given; 0 where none is."""
    if scored is None:
        return jnp.mean(values)
    share = jnp.mean(scored.astype(values.dtype))
    return jnp.mean(jnp.where(scored, values, 0.0)) / jnp.where(share > 0, share, 1.0)


def attenuated(
    loss: Float[Array, "*shape"],
    log_variance: Float[Array, "*shape"],
    *,
    bound: float,
    bounding: Bounding,
    scored: Bool[Array, "*shape"] | None = None,
) -> Float[Array, ""]:
    """A loss of every pixel attenuated by a predicted log variance: mean over pixels of (exp(-s) loss + s) / 2.

    s is the bounded log variance; at the optimum it is the log of the expected loss. Nash et al. 2022, Eqn 1. Over the
    `scored` pixels, as for `mean_of_scored`.
    """
    s = bound_log_variance(log_variance, bound, bounding)
    return mean_of_scored(0.5 * (jnp.exp(-s) * loss + s), scored)


def attenuated_cross_entropy(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    *,
    positive_weight: float,
    bound: float,
    bounding: Bounding,
    scored: Bool[Array, "batch height width"] | None = None,
) -> Float[Array, ""]:
    """Attenuated cross-entropy: Nash et al. 2022, Eqn 1.

    Without the absolute value of the reference's code and with the minus sign that the print lacks in front of BCE.
    """
    cross_entropy = weighted_cross_entropy(logits, labels, positive_weight)
    return attenuated(cross_entropy, log_variance, bound=bound, bounding=bounding, scored=scored)


def logit_noise_cross_entropy(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    keys: Key[Array, "batch"],
    *,
    positive_weight: float,
    bound: float,
    bounding: Bounding,
    noise_samples: int,
    scored: Bool[Array, "batch height width"] | None = None,
) -> Float[Array, ""]:
    """Cross-entropy of the probability averaged over noise on the logits, mean over pixels, in nats.

    -log mean_t sigmoid(+-(logit + sigma eps_t)) for labels 1 and 0, sigma^2 = exp(s), s the bounded log variance, the
    noise independent from pixel to pixel and drawn from each image's key. Kendall and Gal 2017, Eqn 12. Over the
    `scored` pixels, as for `mean_of_scored`.
    """
    sigma = jnp.exp(0.5 * bound_log_variance(log_variance, bound, bounding))
    noise = jax.vmap(lambda key: normal(key, (noise_samples, *logits.shape[1:])), out_axes=1)(keys)
    towards_label = (2.0 * labels - 1.0)[None] * (logits[None] + sigma[None] * noise)
    log_likelihood = jax.nn.logsumexp(jax.nn.log_sigmoid(towards_label), axis=0) - jnp.log(float(noise_samples))
    weight = 1.0 + (positive_weight - 1.0) * labels
    return mean_of_scored(-weight * log_likelihood, scored)
