"""Distillation of a teacher's features into the backbone: the state, a step and an evaluation, as pure functions.

The loss of each stride is 1 minus the cosine similarity of the teacher's standardised features and a linear projection
of the backbone's branch, averaged over cells (after Romero et al. 2015, FitNets).
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Int32, Key, PyTree

from spotrust_jax.config import PretrainConfig
from spotrust_jax.data.photograph_pool import PhotographPool, random_crops
from spotrust_jax.models.hrnet import Backbone, FeatureMap
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.precision import wide
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.segmenter import Variables, initial_variables, normalize, variable_shapes
from spotrust_jax.models.teacher import CHANNELS, Teacher, teacher_features
from spotrust_jax.parallel import AXIS, Placement, average
from spotrust_jax.random import fold_indices, normal, stream
from spotrust_jax.training.optimizer import plain_kernels

Losses = Float[Array, "stride"]


class Inputs(NamedTuple):
    """What stays on the devices from the first step to the last.

    Attributes:
        teacher: its weights.
        pool: all photographs, those held out last.
        places: places in the whole batch that the device computes.
    """

    teacher: Teacher
    pool: PhotographPool
    places: Int32[Array, "batch"]


class PretrainState(NamedTuple):
    """Everything that changes.

    Attributes:
        step: steps taken.
        variables: of the whole network, `params` and `batch_stats`; nothing but the backbone's change.
        projections: of each branch to the teacher's channels; thrown away at the end.
        optimizer: the optimiser's moments.
        loss_sum: sum of the losses by stride since the last evaluation.
    """

    step: Int[Array, ""]
    variables: Variables
    projections: PyTree
    optimizer: optax.OptState
    loss_sum: Losses


def initial_state(config: PretrainConfig) -> PretrainState:
    """Random weights by the seed."""
    key = _initial_key(config)
    begin = jax.jit(lambda key, variables: _begin(config, key, variables))
    return begin(key, initial_variables(config.model, key))


def state_shapes(config: PretrainConfig) -> PretrainState:
    """Shapes and types of `initial_state`, without computing anything."""
    begin = lambda key, variables: _begin(config, key, variables)  # noqa: E731
    return jax.eval_shape(begin, _initial_key(config), variable_shapes(config.model))


def _initial_key(config: PretrainConfig) -> Key[Array, ""]:
    return stream(jax.random.key(config.seed), "initial")


def _begin(config: PretrainConfig, key: Key[Array, ""], variables: Variables) -> PretrainState:
    """The state before the first step."""
    branches = architecture(config.model.preset, width=config.model.width).branch_channels()
    projections = {
        f"stride{number}": {
            "kernel": own**-0.5 * normal(jax.random.fold_in(stream(key, "projection"), number), (own, channels)),
            "bias": jnp.zeros(channels),
        }
        for number, (own, channels) in enumerate(zip(branches, CHANNELS, strict=True))
    }
    trained = {"backbone": variables["params"]["backbone"], "projections": projections}
    optimizer = make_optimizer(config).init(trained)
    return PretrainState(jnp.zeros((), jnp.int32), variables, projections, optimizer, jnp.zeros(len(CHANNELS)))


def make_optimizer(config: PretrainConfig) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and half a cosine to 0 at the last step; norms and biases have no decay."""
    rate = optax.schedules.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup_steps, config.steps)
    return optax.adamw(rate, weight_decay=config.weight_decay, mask=plain_kernels)


def pretrain_step(
    config: PretrainConfig, placement: Placement, training_photographs: int
) -> Callable[[PretrainState, Inputs], tuple[PretrainState, Losses]]:
    """The step: state and inputs to state and losses by stride. Crops follow from seed, step and place in the batch.

    Args:
        config: the experiment.
        placement: over which devices gradients, batch statistics and the teacher's moments are averaged.
        training_photographs: crops are made of this many, the first ones of the pool.
    """
    backbone, optimizer = _backbone(config, placement), make_optimizer(config)

    def step(state: PretrainState, inputs: Inputs) -> tuple[PretrainState, Losses]:
        key = jax.random.fold_in(stream(jax.random.key(config.seed), "crops"), state.step)
        keys = fold_indices(key, inputs.places)
        numbers = jax.vmap(lambda key: jax.random.randint(stream(key, "photograph"), (), 0, training_photographs))(keys)
        crops = random_crops(keys, inputs.pool, numbers, config.augmentation)
        target = _teacher_targets(inputs.teacher, crops, config, placement)
        images = normalize(crops, config.data.mean, config.data.std)

        def loss_of(trained: PyTree) -> tuple[Float[Array, ""], tuple[Losses, Variables]]:
            variables = {
                "params": trained["backbone"],
                "batch_stats": state.variables["batch_stats"]["backbone"],
            }
            outputs = backbone.apply(variables, images, True, mutable="batch_stats")
            branches, updated = cast(tuple[tuple[FeatureMap, ...], Variables], outputs)
            losses = _losses(branches, target, trained["projections"])
            return jnp.mean(losses), (losses, updated["batch_stats"])

        trained = {"backbone": state.variables["params"]["backbone"], "projections": state.projections}
        gradients, (losses, statistics) = jax.grad(loss_of, has_aux=True)(trained)
        gradients, losses = average((gradients, losses), placement)
        updates, moments = optimizer.update(gradients, state.optimizer, trained)
        trained = cast(Variables, optax.apply_updates(trained, updates))
        begins = state.step % config.evaluation_steps == 0
        return PretrainState(
            step=state.step + 1,
            variables={
                "params": {**state.variables["params"], "backbone": trained["backbone"]},
                "batch_stats": {**state.variables["batch_stats"], "backbone": statistics},
            },
            projections=trained["projections"],
            optimizer=moments,
            loss_sum=jnp.where(begins, 0.0, state.loss_sum) + losses,
        ), losses

    return step


def evaluation_step(
    config: PretrainConfig, placement: Placement, training_photographs: int, held_out: int
) -> Callable[[PretrainState, tuple[Inputs, Int[Array, ""]]], Losses]:
    """Losses by stride on batch number n of crops of held-out photographs, always the same, by running statistics."""
    backbone = _backbone(config, placement)

    def evaluate(state: PretrainState, batch: tuple[Inputs, Int[Array, ""]]) -> Losses:
        inputs, number = batch
        places = number * config.batch_size + inputs.places
        keys = fold_indices(stream(jax.random.key(config.seed), "held_out"), places)
        photographs = training_photographs + places % held_out
        crops = random_crops(keys, inputs.pool, photographs, config.augmentation)
        target = _teacher_targets(inputs.teacher, crops, config, placement)
        variables = {kind: parts["backbone"] for kind, parts in state.variables.items()}
        images = normalize(crops, config.data.mean, config.data.std)
        branches = cast(tuple[FeatureMap, ...], backbone.apply(variables, images, False))
        return average(_losses(branches, target, state.projections), placement)

    return evaluate


def _backbone(config: PretrainConfig, placement: Placement) -> nn.Module:
    policy = Policy(config.model.dtype)
    if placement.replicas > 1:
        policy = Policy(config.model.dtype, axis_name=AXIS, axis_index_groups=placement.axis_index_groups)
    return Backbone(architecture(config.model.preset, width=config.model.width), policy)


def _teacher_targets(
    teacher: Teacher, crops: Float[Array, "batch height width 3"], config: PretrainConfig, placement: Placement
) -> list[FeatureMap]:
    return [standardised(x, placement) for x in teacher_features(teacher, crops, config.model.dtype)]


def standardised(x: FeatureMap, placement: Placement) -> FeatureMap:
    """Features with mean 0 and variance 1 in each channel, over the cells of the whole batch, so that all count."""
    mean = average(jnp.mean(x, (0, 1, 2), keepdims=True), placement)
    variance = average(jnp.mean(jnp.square(x - mean), (0, 1, 2), keepdims=True), placement)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-6)


def _losses(branches: tuple[FeatureMap, ...], targets: list[FeatureMap], projections: PyTree) -> Losses:
    """1 minus the mean cosine similarity, from 0 to 2, by stride."""

    def one(x: FeatureMap, target: FeatureMap, projection: PyTree) -> Float[Array, ""]:
        projected = jnp.einsum("bhwi,io->bhwo", wide(x), projection["kernel"])
        projected = projected + projection["bias"][None, None, None, :]
        return jnp.mean(optax.losses.cosine_distance(projected, target, epsilon=1e-6))

    pairs = enumerate(zip(branches, targets, strict=True))
    return jnp.stack([one(x, target, projections[f"stride{number}"]) for number, (x, target) in pairs])
