"""Where fine-tuning starts: parts of a checkpoint's weights, its channel statistics, and its means as a prior.

`step.py` and `optimizer.py` keep parts frozen and set the rates during training.
"""

import jax
import numpy as np
from jaxtyping import PyTree

from spotrust_jax.checkpoints import CheckpointConfig, load_model, read_config
from spotrust_jax.config import ModelConfig, TrainConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.models.variants.variant import part_of

# Parts that are taken only where asked, by the top of the parameter tree, and what they are called.
_OPTIONAL = {"head": "a head for corrosion", "bayesian": "Bayesian layers", "aleatoric": "an aleatoric network"}


def check_start(config: TrainConfig) -> CheckpointConfig | None:
    """The configuration of the checkpoint that training is to start from, None where it starts from random weights.

    Raises:
        InputError: where there is no such checkpoint, or it lacks what is to be taken from it.
    """
    if not config.fine_tuning.checkpoint:
        return None
    start = read_config(config.fine_tuning.checkpoint)
    _check_backbone(config, start.model)
    _check_parts(config, start)
    _check_members(config, start.members)
    return start


def take_weights(variables: Variables, config: TrainConfig) -> tuple[Variables, PyTree]:
    """Random variables [members, ...] with the asked parts replaced by the checkpoint's, and the means of the prior.

    The prior's means are empty where it is centred on 0.

    Raises:
        InputError: as `check_start` does.
    """
    check_start(config)
    loaded, start = load_model(config.fine_tuning.checkpoint)
    taken = {"backbone", *(name for name in _OPTIONAL if getattr(config.fine_tuning, name))}

    def take(own: PyTree, other: PyTree) -> PyTree:
        parts = {name: other[name] if part_of(name) in taken else part for name, part in own.items()}
        return jax.tree.map(lambda leaf: _for_members(leaf, config.members), parts)

    prior_means = variant_of(start.model).prior_means
    prior = prior_means(loaded["params"]) if config.fine_tuning.prior == "checkpoint" else ()
    whole = {collection: take(own, loaded[collection]) for collection, own in variables.items()}
    return whole, jax.tree.map(lambda leaf: _for_members(leaf, config.members), prior)


def _for_members(leaf: jax.Array | np.ndarray, members: int) -> np.ndarray:
    """Leaf [1 or members, ...] to [members, ...]."""
    return np.broadcast_to(np.asarray(leaf), (members, *leaf.shape[1:]))


def _check_backbone(config: TrainConfig, start: ModelConfig) -> None:
    def describe(model: ModelConfig) -> str:
        return f"{model.preset} of width {architecture(model.preset, width=model.width).width}"

    if architecture(start.preset, width=start.width) != architecture(config.model.preset, width=config.model.width):
        raise InputError(
            f"{config.fine_tuning.checkpoint} is a {describe(start)} and config.model a {describe(config.model)}: give "
            f"a checkpoint of the same preset and width, or set config.model.preset and width to the checkpoint's"
        )


def _check_parts(config: TrainConfig, start: CheckpointConfig) -> None:
    checkpoint, asked = config.fine_tuning.checkpoint, _asked_parts(config)
    there = {"head", "aleatoric", *variant_of(start.model).part_names} - set(start.untrained)
    for name in sorted(asked.keys() - there):
        raise InputError(
            f"config.fine_tuning.{asked[name]}, but {checkpoint} comes from weights without {_OPTIONAL[name]}: leave "
            f"it at its default, or give a checkpoint that has them"
        )
    own = {"head", "aleatoric", *variant_of(config.model).part_names}
    for name in sorted(asked.keys() - own):
        raise InputError(
            f"config.fine_tuning.{asked[name]}, but config.model.variant is {config.model.variant!r}, which does not "
            f"have {_OPTIONAL[name]}: leave it at its default"
        )
    if "head" in asked and start.model.final_kernel != config.model.final_kernel:
        raise InputError(
            f"config.fine_tuning.head=True, but {checkpoint} has a head of final_kernel {start.model.final_kernel} and "
            f"config.model one of {config.model.final_kernel}: set config.model.final_kernel to the checkpoint's"
        )


def _asked_parts(config: TrainConfig) -> dict[str, str]:
    """Parts that the checkpoint must have beside the backbone, each with the field that asks for it."""
    asked = {name: f"{name}=True" for name in _OPTIONAL if getattr(config.fine_tuning, name)}
    return {**asked, "bayesian": "prior=checkpoint"} if config.fine_tuning.prior == "checkpoint" else asked


def _check_members(config: TrainConfig, members: int) -> None:
    checkpoint = config.fine_tuning.checkpoint
    if members not in (1, config.members):
        raise InputError(
            f"{checkpoint} has {members} members and config.members is {config.members}: give a checkpoint of one "
            f"member, from which all start, or of as many as config.members"
        )
    if members < config.members and config.fine_tuning.head:
        raise InputError(
            f"config.fine_tuning.head=True with {config.members} members, and {checkpoint} has one: members that start "
            f"alike hardly come to differ; leave the head at its default"
        )
