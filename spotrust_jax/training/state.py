"""What one member carries from step to step, and how it begins."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, UInt32

from spotrust_jax.config import TrainConfig
from spotrust_jax.models.segmenter import Variables, initial_variables
from spotrust_jax.random_streams import stream
from spotrust_jax.training.plateau import Schedule, initial_schedule


class MemberState(NamedTuple):
    """Everything that training changes, for one member.

    Attributes:
        key_data: the member's own key, as data that numpy and Orbax can hold; all its randomness derives from it.
        step: steps taken.
        variables: `params` and `batch_stats`.
        optimizer: Adam's moments.
        schedule: learning rate and early stop.
        best: variables at the best validation F1 so far.
        best_f1: that F1; -1 before the first validation.
        bad_step: first step whose loss was not finite, or -1.
        loss_sum: sum of the losses of the epoch in progress.
    """

    key_data: UInt32[Array, "_words"]
    step: Int[Array, ""]
    variables: Variables
    optimizer: optax.OptState
    schedule: Schedule
    best: Variables
    best_f1: Float[Array, ""]
    bad_step: Int[Array, ""]
    loss_sum: Float[Array, ""]

    @property
    def key(self) -> Key[Array, ""]:
        """The member's own key."""
        return jax.random.wrap_key_data(self.key_data)


def member_key(seed: int, member: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of one member: a single network is member 0 of an ensemble with the same seed."""
    return jax.random.fold_in(stream(jax.random.key(seed), "member"), member)


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Adam at the initial rate; the schedule scales its updates."""
    return optax.adam(config.optimizer.learning_rate, eps=config.optimizer.eps)


def initial_state(config: TrainConfig) -> MemberState:
    """State of all members, numpy leaves [members, ...]."""
    return jax.device_get(jax.jit(lambda: _all_members(config))())


@functools.lru_cache(maxsize=8)
def state_shapes(config: TrainConfig) -> MemberState:
    """The shapes and types of `initial_state`, without computing anything."""
    return jax.eval_shape(lambda: _all_members(config))


def _all_members(config: TrainConfig) -> MemberState:
    return jax.lax.map(lambda member: _one_member(config, member), jnp.arange(config.members))


def _one_member(config: TrainConfig, member: Int[Array, ""]) -> MemberState:
    key = member_key(config.seed, member)
    variables = initial_variables(config.model, stream(key, "initial"))
    return MemberState(
        key_data=jax.random.key_data(key),
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        optimizer=make_optimizer(config).init(variables["params"]),
        schedule=initial_schedule(config.plateau, config.optimizer.learning_rate),
        best=variables,
        best_f1=jnp.asarray(-1.0),
        bad_step=jnp.asarray(-1, jnp.int32),
        loss_sum=jnp.zeros(()),
    )
