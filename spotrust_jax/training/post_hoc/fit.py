"""A trained deterministic model, or every member of an ensemble of them, with a new last layer."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float64

from spotrust_jax.checkpoints import ModelCard
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.seen import seen_photographs
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.last_layer import LARGEST_LOG_VARIANCE
from spotrust_jax.models.mismatch import mismatch_told
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.training.post_hoc.features import Cells, cached_cells, require_deterministic
from spotrust_jax.training.post_hoc.laplace import curvature, posterior
from spotrust_jax.training.post_hoc.logit_noise import fit_noisy_logit

Kind = Literal["laplace", "logit_noise"]

MOST_CELLS = 100_000
"""Cells that a fit goes by unless told otherwise."""


def with_last_layer(segmenter: Segmenter, kind: Kind, dataset: Dataset, most: int = MOST_CELLS) -> Segmenter:
    """The model as a variant of its own; it has to be calibrated anew.

    Raises:
        InputError: where the model is not deterministic.
    """
    require_deterministic(segmenter.config)
    fit = {"laplace": _with_laplace, "logit_noise": _with_logit_noise}[kind]
    with mismatch_told(segmenter.variables, segmenter.config.model):
        members = [_refitted(segmenter.member(index), fit, dataset, most) for index in range(segmenter.config.members)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    model = dataclasses.replace(segmenter.config.model, variant=kind)
    config = dataclasses.replace(
        segmenter.config.uncalibrated,
        model=model,
        trained_on=segmenter.config.trained_on | seen_photographs(dataset),
        card=ModelCard(),
    )
    if kind == "logit_noise":
        config = dataclasses.replace(config, log_variance_bound=LARGEST_LOG_VARIANCE, log_variance_bounding="clamp")
    return Segmenter(stacked, config, segmenter.devices)


_Fit = Callable[[dict, Cells, Float64[np.ndarray, "inputs"], float], dict]


def _refitted(member: Segmenter, fit: _Fit, dataset: Dataset, most: int) -> Variables:
    variables = jax.tree.map(lambda leaf: np.asarray(leaf[0]), member.variables)
    last = variables["params"]["head"]["logit"]
    weights = np.append(last["kernel"][0, 0, :, 0], last["bias"]).astype(np.float64)
    cells = cached_cells(member, dataset, most)
    return {**variables, "params": fit(variables["params"], cells, weights, member.config.positive_weight)}


def _with_laplace(params: dict, cells: Cells, weights: Float64[np.ndarray, "inputs"], positive_weight: float) -> dict:
    root = posterior(curvature(cells, weights, positive_weight), weights).root
    return {**params, "laplace": {"root": root.astype(np.float32)}}


def _with_logit_noise(
    params: dict, cells: Cells, weights: Float64[np.ndarray, "inputs"], positive_weight: float
) -> dict:
    found = fit_noisy_logit(cells, weights, positive_weight)
    mean, noise = (values.astype(np.float32) for values in found)
    head = {**params["head"], "logit": {"kernel": mean[None, None, :-1, None], "bias": mean[-1:]}}
    return {**params, "head": head, "logit_noise": {"kernel": noise[:-1], "bias": noise[-1:]}}
