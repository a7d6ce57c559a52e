"""Training losses: attenuated cross-entropy and the divergence of the variational layers from their prior."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

Bounding = Literal["smooth", "clamp"]


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


def attenuated_cross_entropy(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    *,
    positive_weight: float,
    bound: float,
    bounding: Bounding,
) -> Float[Array, ""]:
    """Cross-entropy attenuated by a predicted log variance: mean over pixels of (exp(-s) BCE + s) / 2.

    s is the bounded log variance; at the optimum it is the log of the expected cross-entropy. Nash et al. 2022, Eqn 1,
    without the absolute value of the reference's code and with the minus sign that the print lacks in front of BCE.
    """
    s = bound_log_variance(log_variance, bound, bounding)
    cross_entropy = weighted_cross_entropy(logits, labels, positive_weight)
    return jnp.mean(0.5 * (jnp.exp(-s) * cross_entropy + s))


def normal_kl(
    mean: Float[Array, "*shape"], deviation: Float[Array, "*shape"], prior_deviation: float
) -> Float[Array, ""]:
    """KL(N(mean, deviation^2) || N(0, prior_deviation^2)) in nats, summed over independent weights."""
    ratio = jnp.square(deviation / prior_deviation)
    return 0.5 * jnp.sum(ratio + jnp.square(mean / prior_deviation) - 1.0 - jnp.log(ratio))


def variational_kl(params: PyTree, prior_deviation: float) -> Float[Array, ""]:
    """KL(posterior || prior) in nats, summed over all Bayesian layers of `params`; 0 where there are none."""
    total = jnp.zeros(())
    for name, layer in params.items():
        if name.startswith("bayesian_"):
            for part in ("kernel", "bias"):
                deviation = jax.nn.softplus(layer[f"{part}_rho"])
                total = total + normal_kl(layer[f"{part}_mean"], deviation, prior_deviation)
    return total
