"""The heteroscedastic last layer: mean and log variance of a noisy logit, fitted together to labels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, PyTree
from scipy.optimize import minimize

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.models.variants.logit_noise import LARGEST_LOG_VARIANCE, log_likelihoods
from spotrust_jax.training.post_hoc.features import Cells

# Log variance that the fit starts from, rounds of it at most, and the weight of squared weights in its loss.
_START, _ROUNDS, _DECAY = -2.0, 150, 1e-4


class NoisyLogit(NamedTuple):
    """Weights of both outputs; the last one of each is the bias."""

    mean: Float64[np.ndarray, "inputs"]
    log_variance: Float64[np.ndarray, "inputs"]


def fit_logit_noise(
    params: PyTree,
    cells: Cells,
    held_out: Cells | None,
    weights: Float64[np.ndarray, "inputs"],
    config: CheckpointConfig,
) -> PyTree:
    """The trained parameters with another last layer, and its log variance beside it; nothing is held out."""
    found = fit_noisy_logit(cells, weights, config.positive_weight)
    mean, noise = (values.astype(np.float32) for values in found)
    head = {**params["head"], "logit": {"kernel": mean[None, None, :-1, None], "bias": mean[-1:]}}
    return {**params, "head": head, "logit_noise": {"kernel": noise[:-1], "bias": noise[-1:]}}


def fit_noisy_logit(cells: Cells, weights: Float64[np.ndarray, "inputs"], positive_weight: float) -> NoisyLogit:
    """The highest likelihood from the trained weights on, corrosion counting as in training (Collier et al. 2021).

    The mean over noise is computed, so that the loss is deterministic. Departure of the mean weights from
    the trained ones, and the weights of the log variance, cost a little, which keeps those that do not matter in place.
    """
    inputs, labels = jnp.asarray(cells.inputs), jnp.asarray(cells.labels)
    shares = jnp.asarray(cells.counts / cells.counts.sum())
    trained = jnp.asarray(weights, jnp.float32)
    size = len(weights)

    @jax.jit
    @jax.value_and_grad
    def loss(parameters: Float[Array, "both"]) -> Float[Array, ""]:
        mean, noise = parameters[:size], parameters[size:]
        log_variance = jnp.clip(inputs @ noise, -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        corroded, sound = log_likelihoods(inputs @ mean, log_variance)
        likelihood = jnp.sum(shares * (positive_weight * labels * corroded + (1 - labels) * sound))
        return -likelihood + _DECAY * (jnp.sum((mean - trained) ** 2) + jnp.sum(noise[:-1] ** 2))

    def in_float64(parameters: Float64[np.ndarray, "both"]) -> tuple[float, Float64[np.ndarray, "both"]]:
        value, gradient = loss(jnp.asarray(parameters, jnp.float32))
        return float(value), np.asarray(gradient, np.float64)

    start = np.concatenate([weights, np.zeros(size)])
    start[-1] = _START
    found = minimize(in_float64, start, jac=True, method="L-BFGS-B", options={"maxiter": _ROUNDS}).x
    return NoisyLogit(found[:size], found[size:])
