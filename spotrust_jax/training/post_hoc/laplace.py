"""The Laplace approximation of the last layer: a normal posterior from the curvature of the loss at its minimum."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, PyTree
from scipy.special import expit

from spotrust_jax.training.post_hoc.features import Cells

# Rounds of the prior's precision, and the relative change that ends them.
_ROUNDS, _SETTLED = 200, 1e-6


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


def fit_laplace(params: PyTree, cells: Cells, weights: Float64[np.ndarray, "inputs"], positive_weight: float) -> PyTree:
    """The trained parameters with the posterior of the last layer's weights beside them."""
    root = posterior(curvature(cells, weights, positive_weight), weights).root
    return {**params, "laplace": {"root": root.astype(np.float32)}}


def curvature(
    cells: Cells, weights: Float64[np.ndarray, "inputs"], positive_weight: float
) -> Float64[np.ndarray, "inputs inputs"]:
    """Hessian of the weighted cross-entropy, summed over cells, in the weights of the last layer.

    For a logit that is linear in them it is the sum of c p (1 - p) x x^T, c the weight of the label. A cell of 4 x 4
    pixels counts as one observation.
    """
    inputs = cells.inputs.astype(np.float64)
    p = expit(inputs @ weights)
    importance = (1 + (positive_weight - 1) * cells.labels) * p * (1 - p)
    return (inputs * importance[:, None]).T @ inputs


def posterior(hessian: Float64[np.ndarray, "inputs inputs"], weights: Float64[np.ndarray, "inputs"]) -> Posterior:
    """With the prior of the highest evidence, found by MacKay's fixed point (MacKay 1992)."""
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 0)
    precision, size = 1.0, float(weights @ weights)
    for _ in range(_ROUNDS):
        effective = float((values / (values + precision)).sum())
        found = effective / size
        settled = abs(found - precision) < _SETTLED * precision
        precision = found
        if settled:
            break
    return Posterior(vectors / np.sqrt(values + precision), precision, effective)
