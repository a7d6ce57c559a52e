"""Gradients to changes of the weights, one part of the network at a time, and the moving average of the weights."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from spotrust_jax.config import OptimizerConfig, TrainConfig
from spotrust_jax.models.segmenter import Variables


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """The configured optimiser at the initial rates; the schedule scales its updates.

    Each part of the network ("backbone", "head", ...) has a state of its own: parts that are missing from the gradients
    are frozen, and theirs stays as it is.
    """
    single = _single(config.optimizer)

    def init(params: PyTree) -> PyTree:
        return {name: single.init(part) for name, part in params.items()}

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        results = {name: single.update(part, state[name], params[name]) for name, part in updates.items()}
        scaled = {name: _at_rate(name, update, config) for name, (update, _) in results.items()}
        return scaled, {**state, **{name: part_state for name, (_, part_state) in results.items()}}

    return optax.GradientTransformation(init, update)


def moving_average(average: Variables, new: Variables, step: Int[Array, ""], decay: float) -> Variables:
    """The average after step number `step`, from 0, which led to the variables `new`.

    At the start the past counts less, min(decay, (1 + step) / (10 + step)), so that random weights are soon forgotten.
    """
    share = 1.0 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    # Written so that what does not change, such as a frozen backbone, stays the same to the bit.
    return jax.tree.map(lambda a, b: a + share * (b - a), average, new)


def _single(config: OptimizerConfig) -> optax.GradientTransformation:
    if config.kind == "sgd":
        return optax.sgd(config.learning_rate, momentum=config.momentum or None)
    if config.kind == "adamw":
        decay = config.weight_decay
        return optax.adamw(config.learning_rate, eps=config.eps, weight_decay=decay, mask=plain_kernels)
    return optax.adam(config.learning_rate, eps=config.eps)


def plain_kernels(params: PyTree) -> PyTree:
    """True for kernels of plain convolutions; norms, biases and the parameters of Bayesian layers are others."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _at_rate(name: str, update: PyTree, config: TrainConfig) -> PyTree:
    rate = config.fine_tuning.backbone_rate
    if name != "backbone" or rate == 1.0:
        return update
    return jax.tree.map(lambda leaf: rate * leaf, update)
