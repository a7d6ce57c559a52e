"""A trained deterministic model, or every member of an ensemble of them, with a last layer that is fitted to it."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float64, PyTree

from spotrust_jax.calibration.promises import Promise
from spotrust_jax.checkpoints import CheckpointConfig, ModelCard
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.seen import SeenPhotographs, seen_photographs
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


Fit = Callable[[PyTree, Cells, Cells | None, Float64[np.ndarray, "inputs"], CheckpointConfig], PyTree]
"""From the parameters of a trained network, cells of labelled photographs, cells of others that are held out, the
weights of its last layer with the bias last, and its configuration, to the parameters of the variant."""


class PostHoc(NamedTuple):
    """A variant that is fitted, its fit, and whether that takes photographs that are held out."""

    variant: type[Variant]
    fit: Fit
    holds_out: bool


_ALL = PostHoc(LastLayerLaplace, fit_laplace, True), PostHoc(LogitNoise, fit_logit_noise, False)

POST_HOC = {one.variant.name: one for one in _ALL}


def post_hoc(kind: str) -> PostHoc:
    """The one of a name; an `InputError` where there is none."""
    if kind not in POST_HOC:
        raise InputError(f"--kind is {kind!r}: choose one of {', '.join(POST_HOC)}")
    return POST_HOC[kind]


def with_last_layer(
    segmenter: Segmenter, kind: str, dataset: Dataset, held_out: Dataset | None = None, most: int = MOST_CELLS
) -> Segmenter:
    """The model as the variant called `kind`; it has to be calibrated anew.

    Args:
        segmenter: a deterministic model, or an ensemble.
        kind: the variant.
        dataset: photographs that the last layer is fitted to, best those that the model was trained on.
        held_out: others, which the model does not know, for a fit that chooses by them.
        most: cells of either that are kept.

    Raises:
        InputError: where the model is not deterministic, no such variant is fitted, nothing is held out for it, or the
            loss of its training has no posterior.
    """
    variant, fit, holds_out = post_hoc(kind)
    if holds_out and held_out is None:
        raise InputError(f"--kind={kind} needs photographs that are held out: give some that the model does not know")
    require_deterministic(segmenter.config)
    with mismatch_errors(segmenter.variables, segmenter.config.model):
        members = [
            _refitted(segmenter.member(index), fit, dataset, held_out, most)
            for index in range(segmenter.config.members)
        ]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    config = dataclasses.replace(
        segmenter.config.uncalibrated,
        model=dataclasses.replace(segmenter.config.model, variant=kind),
        trained_on=segmenter.config.trained_on | seen_photographs(dataset),
        selected_on=segmenter.config.selected_on | (seen_photographs(held_out) if held_out else SeenPhotographs()),
        card=ModelCard(),
        # The mask's threshold stays, and nothing that it was chosen by holds for the new layer.
        threshold_rule="that of the model before its last layer was fitted",
        promise=Promise(),
    )
    if variant.log_variance_bound is not None:
        bound = variant.log_variance_bound
        config = dataclasses.replace(config, log_variance_bound=bound, log_variance_bounding="clamp")
    return Segmenter(stacked, config, segmenter.devices)


def _refitted(member: Segmenter, fit: Fit, dataset: Dataset, held_out: Dataset | None, most: int) -> Variables:
    variables = jax.tree.map(lambda leaf: np.asarray(leaf[0]), member.variables)
    last = variables["params"]["head"]["logit"]
    weights = np.append(last["kernel"][0, 0, :, 0], last["bias"]).astype(np.float64)
    cells = cached_cells(member, dataset, most)
    others = None if held_out is None else cached_cells(member, held_out, most)
    return {**variables, "params": fit(variables["params"], cells, others, weights, member.config)}
