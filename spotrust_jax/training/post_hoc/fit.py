"""A trained deterministic model, or every member of an ensemble of them, with a last layer that is fitted to it."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64, PyTree

from spotrust_jax.checkpoints import ModelCard
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.seen import seen_photographs
from spotrust_jax.errors import InputError
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.mismatch import mismatch_errors
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.models.variants.laplace import LastLayerLaplace
from spotrust_jax.models.variants.logit_noise import LogitNoise
from spotrust_jax.models.variants.variant import Variant
from spotrust_jax.training.post_hoc.features import Cells, cached_cells, require_deterministic
from spotrust_jax.training.post_hoc.laplace import fit_laplace
from spotrust_jax.training.post_hoc.logit_noise import fit_logit_noise

MOST_CELLS = 100_000
"""Cells that a fit goes by unless another number is given."""


Fit = Callable[[PyTree, Cells, Float64[np.ndarray, "inputs"], float], PyTree]
"""From the parameters of a trained network, cells of labelled photographs, the weights of its last layer with the bias
last, and the weight of corroded pixels in training, to the parameters of the variant."""


class PostHoc(NamedTuple):
    """A variant that is fitted, and its fit."""

    variant: type[Variant]
    fit: Fit


_ALL = PostHoc(LastLayerLaplace, fit_laplace), PostHoc(LogitNoise, fit_logit_noise)

POST_HOC = {one.variant.name: one for one in _ALL}


def with_last_layer(segmenter: Segmenter, kind: str, dataset: Dataset, most: int = MOST_CELLS) -> Segmenter:
    """The model as the variant called `kind`; it has to be calibrated anew.

    Raises:
        InputError: where the model is not deterministic, or no such variant is fitted.
    """
    if kind not in POST_HOC:
        raise InputError(f"--kind is {kind!r}: choose one of {', '.join(POST_HOC)}")
    require_deterministic(segmenter.config)
    variant, fit = POST_HOC[kind]
    with mismatch_errors(segmenter.variables, segmenter.config.model):
        members = [_refitted(segmenter.member(index), fit, dataset, most) for index in range(segmenter.config.members)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    config = dataclasses.replace(
        segmenter.config.uncalibrated,
        model=dataclasses.replace(segmenter.config.model, variant=kind),
        trained_on=segmenter.config.trained_on | seen_photographs(dataset),
        card=ModelCard(),
    )
    if variant.log_variance_bound is not None:
        bound = variant.log_variance_bound
        config = dataclasses.replace(config, log_variance_bound=bound, log_variance_bounding="clamp")
    return Segmenter(stacked, config, segmenter.devices)


def _refitted(member: Segmenter, fit: Fit, dataset: Dataset, most: int) -> Variables:
    variables = jax.tree.map(lambda leaf: np.asarray(leaf[0]), member.variables)
    last = variables["params"]["head"]["logit"]
    weights = np.append(last["kernel"][0, 0, :, 0], last["bias"]).astype(np.float64)
    cells = cached_cells(member, dataset, most)
    return {**variables, "params": fit(variables["params"], cells, weights, member.config.positive_weight)}
