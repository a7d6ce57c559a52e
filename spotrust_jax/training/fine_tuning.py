"""Where fine-tuning starts: parts of a checkpoint's weights, its channel statistics, and its means as a prior.

`step.py` and `optimizer.py` keep parts frozen and set the rates during training.
"""

import jax
import numpy as np
from jaxtyping import PyTree

from spotrust_jax.checkpoints import load_model
from spotrust_jax.config import TrainConfig
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.models.variants.variant import part_of
from spotrust_jax.training.checks import OPTIONAL_PARTS, check_start


def take_weights(variables: Variables, config: TrainConfig) -> tuple[Variables, PyTree]:
    """Random variables [members, ...] with the asked parts replaced by the checkpoint's, and the means of the prior.

    The prior's means are empty where it is centred on 0.

    Raises:
        InputError: as `check_start` does.
    """
    check_start(config)
    loaded, start = load_model(config.fine_tuning.checkpoint)
    taken = {"backbone", *(name for name in OPTIONAL_PARTS if getattr(config.fine_tuning, name))}

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
