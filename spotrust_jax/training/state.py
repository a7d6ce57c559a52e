"""What one member carries from step to step, and how it begins."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, UInt32

from spotrust_jax.config import TrainConfig
from spotrust_jax.models.segmenter import Variables, initial_variables, variable_shapes
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.random import stream
from spotrust_jax.training.fine_tuning import take_weights
from spotrust_jax.training.optimizer import make_optimizer
from spotrust_jax.training.plateau import Schedule, initial_schedule


class MemberState(NamedTuple):
    """Everything that training changes, for one member.

    Attributes:
        key_data: the member's own key, as data that numpy and Orbax can hold; all its randomness derives from it.
        step: steps taken.
        variables: `params` and `batch_stats`.
        average: moving average of both, empty where none is kept.
        prior: means of the variational layers' prior, by layer and leaf, empty where they are 0.
        optimizer: the optimiser's moments, by part of the network.
        schedule: learning rate and early stop.
        best: variables, averaged where an average is kept, at the best validation score so far.
        best_score: that score, by `TrainConfig.best_metric`, the higher the better; -inf before the first validation.
        best_step: steps that had been taken then; 0 before the first validation.
        bad_step: first step whose loss was not finite, or -1.
        loss_sum: sum of the losses of the epoch in progress.
    """

    key_data: UInt32[Array, "_words"]
    step: Int[Array, ""]
    variables: Variables
    average: Variables | tuple[()]
    prior: Variables | tuple[()]
    optimizer: optax.OptState
    schedule: Schedule
    best: Variables
    best_score: Float[Array, ""]
    best_step: Int[Array, ""]
    bad_step: Int[Array, ""]
    loss_sum: Float[Array, ""]

    @property
    def key(self) -> Key[Array, ""]:
        """The member's own key."""
        return jax.random.wrap_key_data(self.key_data)

    @property
    def evaluated(self) -> Variables:
        """The variables that are validated and kept as a model: the average where there is one.

        Its batch statistics are averaged likewise: those of the last few batches belong to other weights.
        """
        return self.average or self.variables


def member_key(seed: int, member: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of one member: a single network is member 0 of an ensemble with the same seed."""
    return jax.random.fold_in(stream(jax.random.key(seed), "member"), member)


def initial_state(config: TrainConfig) -> MemberState:
    """State of all members, numpy leaves [members, ...]: random weights, or those that fine-tuning starts from.

    Raises:
        InputError: where the checkpoint to start from cannot be used.
    """
    begin = jax.jit(lambda key, variables: _begin(config, key, variables))
    keys = [member_key(config.seed, member) for member in range(config.members)]
    begun = [jax.device_get(begin(key, initial_variables(config.model, stream(key, "initial")))) for key in keys]
    state = jax.tree.map(lambda *leaves: np.stack(leaves), *begun)
    if not config.fine_tuning.checkpoint:
        return state
    variables, prior = take_weights(state.variables, config)
    return state._replace(variables=variables, average=variables if state.average else (), prior=prior, best=variables)


@functools.lru_cache(maxsize=8)
def state_shapes(config: TrainConfig) -> MemberState:
    """The shapes and types of `initial_state`, without computing anything."""
    begin = lambda variables: _begin(config, jax.random.key(0), variables)  # noqa: E731
    one = jax.eval_shape(begin, variable_shapes(config.model))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((config.members, *leaf.shape), leaf.dtype), one)


def _begin(config: TrainConfig, key: Key[Array, ""], variables: Variables) -> MemberState:
    """State of the member with this key before its first step."""
    prior_means = variant_of(config.model).prior_means
    return MemberState(
        key_data=jax.random.key_data(key),
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        average=variables if config.optimizer.ema_decay else (),
        # Here only for their shapes; take_weights gives the checkpoint's.
        prior=prior_means(variables["params"]) if config.fine_tuning.prior == "checkpoint" else (),
        optimizer=make_optimizer(config).init(variables["params"]),
        schedule=initial_schedule(config.plateau, config.optimizer.learning_rate),
        best=variables,
        best_score=jnp.asarray(-jnp.inf),
        best_step=jnp.zeros((), jnp.int32),
        bad_step=jnp.asarray(-1, jnp.int32),
        loss_sum=jnp.zeros(()),
    )
