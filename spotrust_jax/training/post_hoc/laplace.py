"""The Laplace approximation of the last layer: a normal posterior from the curvature of the loss at its minimum."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64, PyTree
from scipy.special import expit

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models.logistic_normal import log_mean_sigmoids
from spotrust_jax.training.post_hoc.features import Cells

# Rounds of the prior's precision, and the relative change that ends them.
_ROUNDS, _SETTLED = 200, 1e-6

# Whether the loss weighs the cross-entropy of each pixel by its log variance. Dice, which is no sum over pixels, adds
# no curvature here.
_ATTENUATED = {"attenuated": True, "combo": True, "cross_entropy": False}

# Observations that a cell may count as: the 16 pixels that it has at most, and about a millionth of one at least, a
# quarter of a decade apart.
_OBSERVATIONS = 16 * 10 ** -np.arange(0, 7.3, 0.25)


_log_mean_sigmoids = jax.jit(log_mean_sigmoids)


class Posterior(NamedTuple):
    """Normal posterior of the weights and the bias.

    Attributes:
        root: square root R of the covariance R R^T.
        prior_precision: of the normal prior with mean 0, the one of the highest evidence.
        effective: how many of the weights the data determine.
    """

    root: Float64[np.ndarray, "inputs inputs"]
    prior_precision: float
    effective: float


def fit_laplace(
    params: PyTree,
    cells: Cells,
    held_out: Cells | None,
    weights: Float64[np.ndarray, "inputs"],
    config: CheckpointConfig,
) -> PyTree:
    """The trained parameters with the posterior of the last layer's weights beside them."""
    if held_out is None:
        raise ValueError("the posterior's width is chosen by held-out cells, and there are none")
    hessian = curvature(cells, weights, config)
    share = observations_of_a_cell(hessian, weights, held_out, config.positive_weight)
    root = posterior(share * hessian, weights).root
    return {**params, "laplace": {"root": root.astype(np.float32)}}


def curvature(
    cells: Cells, weights: Float64[np.ndarray, "inputs"], config: CheckpointConfig
) -> Float64[np.ndarray, "inputs inputs"]:
    """Hessian of the loss that was minimised, in the weights of the last layer, every cell of the set counted once.

    For a logit that is linear in them it is the sum of n a c p (1 - p) x x^T: n the cells that a kept one stands for, a
    the attenuation where the loss has one, and c the weight of the label.

    Raises:
        InputError: for a loss that is no likelihood.
    """
    if config.loss not in _ATTENUATED:
        raise InputError(
            f"the model was trained with loss.kind={config.loss}, whose curvature is no posterior: take one trained "
            f"with {', '.join(_ATTENUATED)}, or --kind=logit_noise"
        )
    inputs = cells.inputs.astype(np.float64)
    p = expit(inputs @ weights)
    importance = cells.counts * (1 + (config.positive_weight - 1) * cells.labels) * p * (1 - p)
    if _ATTENUATED[config.loss]:
        importance = importance * cells.attenuation
    return (inputs * importance[:, None]).T @ inputs


def observations_of_a_cell(
    hessian: Float64[np.ndarray, "inputs inputs"],
    weights: Float64[np.ndarray, "inputs"],
    held_out: Cells,
    positive_weight: float,
) -> float:
    """The effective sample size, in observations a cell, of the highest likelihood on photographs held out.

    Neighbouring cells resemble each other, and so do photographs, so a set is worth less than its number of cells. The
    likelihood is that of the mean probability over the posterior, corrosion weighted as in training.
    """
    values, vectors = np.linalg.eigh(hessian)
    inputs = held_out.inputs.astype(np.float64)
    mean, squares = inputs @ weights, np.square(inputs @ vectors)
    importance = held_out.counts * np.array([1 - held_out.labels, positive_weight * held_out.labels], np.float64)

    def likelihood(share: float) -> float:
        precision, _ = _evidence(np.maximum(share * values, 0), weights)
        variance = squares @ (1 / (np.maximum(share * values, 0) + precision))
        corroded, sound = _log_mean_sigmoids(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))
        return float((importance * np.array([sound, corroded], np.float64)).sum())

    return float(max(_OBSERVATIONS, key=likelihood))


def posterior(hessian: Float64[np.ndarray, "inputs inputs"], weights: Float64[np.ndarray, "inputs"]) -> Posterior:
    """With the prior of the highest evidence, found by MacKay's fixed point (MacKay 1992)."""
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 0)
    precision, effective = _evidence(values, weights)
    return Posterior(vectors / np.sqrt(values + precision), precision, effective)


def _evidence(values: Float64[np.ndarray, "inputs"], weights: Float64[np.ndarray, "inputs"]) -> tuple[float, float]:
    """The prior's precision, and how many weights the data determine, from the eigenvalues of the Hessian."""
    precision, effective, size = 1.0, 0.0, float(weights @ weights)
    for _ in range(_ROUNDS):
        effective = float((values / (values + precision)).sum())
        found = effective / size
        settled = abs(found - precision) < _SETTLED * precision
        precision = found
        if settled:
            break
    return precision, effective
