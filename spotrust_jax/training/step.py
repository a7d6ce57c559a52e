"""One training step and one validation batch of one member, as pure functions for `ensemble.over_members`."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

from spotrust_jax.config import TrainConfig
from spotrust_jax.data.augmentation import Augmented, augment
from spotrust_jax.data.pipeline import blank_batch, steps_per_epoch
from spotrust_jax.data.sizes import largest_shape
from spotrust_jax.losses import bound_log_variance
from spotrust_jax.models.fast.folding import fold_norms, folded_network
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys, noise_keys
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables, build_network, normalize
from spotrust_jax.parallel import AXIS, Placement, average, total
from spotrust_jax.random import fold_indices, stream
from spotrust_jax.sampling.moments import std
from spotrust_jax.sampling.passes import Maps, member_samples
from spotrust_jax.training.accumulation import mean_over_pieces
from spotrust_jax.training.objective import data_loss, divergence
from spotrust_jax.training.optimizer import make_optimizer, moving_average
from spotrust_jax.training.schedule import rate_scale
from spotrust_jax.training.scores import BINS, probability_bins
from spotrust_jax.training.state import MemberState


class DeviceBatch(NamedTuple):
    """A device's share of one member's batch, as `data.pipeline.Batch`; `indices` are places in the whole batch."""

    images: UInt8[Array, "batch height width 3"]
    masks: Bool[Array, "batch height width"]
    ignored: Bool[Array, "batch height width"]
    extents: Int[Array, "batch 2"]
    valid: Bool[Array, "batch"]
    indices: Int[Array, "batch"]


class Gradients(NamedTuple):
    """What a part of a batch says; all of it is to be averaged over the parts.

    Attributes:
        loss: of the data per pixel, to be divided by `scored_share`.
        scored_share: of the pixels.
        batch_stats: of what is not frozen.
        gradients: of that loss, of what is not frozen.
    """

    loss: Float[Array, ""]
    scored_share: Float[Array, ""]
    batch_stats: Variables
    gradients: Variables


# By a state, a batch and whether the backbone is frozen.
GradientsOf = Callable[[MemberState, DeviceBatch, bool], Gradients]


def device_batch_shapes(config: TrainConfig, share: int) -> DeviceBatch:
    """Shapes and types of a training batch of `share` examples."""
    batch = blank_batch(np.zeros(0, np.int64), largest_shape(config.data.image_size))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((share, *leaf.shape[1:]), leaf.dtype), batch)
    return DeviceBatch(*shapes)._replace(indices=jax.ShapeDtypeStruct((share,), jnp.int32))


class ValidationSums(NamedTuple):
    """Sums over the scored pixels of valid examples, for one member; they add up over batches.

    `corroded` and `sound` are numbers of pixels by `probability_bins`.
    """

    true_positive: Float[Array, ""]
    false_positive: Float[Array, ""]
    false_negative: Float[Array, ""]
    true_negative: Float[Array, ""]
    loss: Float[Array, ""]
    epistemic: Float[Array, ""]
    corroded: Int[Array, "bins"]
    sound: Int[Array, "bins"]


def train_step(
    config: TrainConfig, placement: Placement, training_images: int
) -> Callable[[MemberState, DeviceBatch], tuple[MemberState, Float[Array, ""]]]:
    """The step of one member: state and batch to state and loss; nothing at all happens to a member that has stopped.

    Args:
        config: the experiment.
        placement: over which devices gradients and batch statistics are averaged.
        training_images: photographs of an epoch; the KL term is spread over the pixels of their crops.
    """
    steps = steps_per_epoch(training_images, config.batch_size)
    training_pixels = training_images * math.prod(config.augmentation.crop_size)
    frozen_steps = config.fine_tuning.freeze_epochs * steps
    gradients_of = _gradients(_training_network(config, placement), config)
    optimizer, scale = make_optimizer(config), rate_scale(config, steps)

    def step(state: MemberState, batch: DeviceBatch, freeze: bool) -> tuple[MemberState, Float[Array, ""]]:
        found = gradients_of(state, batch, freeze)
        loss, share, gradients = average((found.loss, found.scored_share, found.gradients), placement)
        params, factor = state.variables["params"], scale(state.schedule, state.step)
        trained, frozen = _divide(params, freeze)
        prior = jax.value_and_grad(lambda part: divergence({**part, **frozen}, state.prior, config, training_pixels))
        # Only the data's part is of the pixels that are scored here: few of them make the prior no stronger.
        loss, gradients = jax.tree.map(lambda data, kl: data / share + kl, (loss, gradients), prior(trained))
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, params)
        changed = jax.tree.map(lambda p, u: p + factor * u, trained, updates)
        # Nothing is learnt from a batch in which nothing is known, not even from the gradients before it.
        loss, changed, optimizer_state = jax.tree.map(
            lambda new, old: jnp.where(share > 0, new, old),
            (loss, changed, optimizer_state),
            (jnp.zeros(()), trained, state.optimizer),
        )
        variables = {
            "params": {**params, **changed},
            "batch_stats": {**state.variables["batch_stats"], **found.batch_stats},
        }
        failed = ~jnp.isfinite(loss) & (state.bad_step < 0)
        new_state = state._replace(
            step=state.step + 1,
            variables=variables,
            average=_follow(state, variables, config),
            optimizer=optimizer_state,
            bad_step=jnp.where(failed, state.step, state.bad_step),
            loss_sum=state.loss_sum + loss,
        )
        return new_state, loss

    def unless_frozen(state: MemberState, batch: DeviceBatch) -> tuple[MemberState, Float[Array, ""]]:
        whole, frozen = functools.partial(step, freeze=False), functools.partial(step, freeze=True)
        if not frozen_steps:
            return whole(state, batch)
        return jax.lax.cond(state.step < frozen_steps, frozen, whole, state, batch)

    return _unless_stopped(unless_frozen, placement)


def validation_step(
    config: TrainConfig, placement: Placement
) -> Callable[[MemberState, DeviceBatch], tuple[ValidationSums, Maps]]:
    """Sums of one member over a validation batch, from `config.validation_samples` passes at threshold one half.

    The maps of the batch come with them. Both are zeros for a member that has stopped.
    """
    network = folded_network(config.model)

    def of_image(logits: Array, log_variance: Array, labels: Array, key: Array, scored: Array) -> Array:
        return data_loss(logits[None], log_variance[None], labels[None], key[None], config.loss, scored[None])

    def validate(state: MemberState, batch: DeviceBatch) -> tuple[ValidationSums, Maps]:
        keys = fold_indices(stream(state.key, "validation"), batch.indices)
        images = normalize(batch.images / 255.0, config.data.mean, config.data.std)
        passes = member_samples(
            network, fold_norms(state.evaluated), images, keys, num_samples=config.validation_samples
        )
        moments, log_variance = passes.moments, passes.log_variance
        labels = batch.masks.astype(jnp.float32)
        found = (moments.mean >= 0.5).astype(jnp.float32)
        probability = jnp.clip(moments.mean, 1e-6, 1 - 1e-6)
        logits = jnp.log(probability) - jnp.log1p(-probability)
        scored = batch.valid[:, None, None] & ~batch.ignored
        loss = jax.vmap(of_image)(logits, log_variance, labels, stream(keys, "logits"), scored)

        def over_scored(values: Float[Array, "batch height width"]) -> Float[Array, ""]:
            return jnp.sum(jnp.where(scored, values, 0.0))

        def by_probability(counted: Bool[Array, "batch height width"]) -> Int[Array, "bins"]:
            return jnp.zeros(BINS, jnp.int32).at[probability_bins(logits)].add(counted.astype(jnp.int32))

        bounded = bound_log_variance(log_variance, config.loss.log_variance_bound, config.loss.log_variance_bounding)
        sums = total(
            ValidationSums(
                true_positive=over_scored(found * labels),
                false_positive=over_scored(found * (1 - labels)),
                false_negative=over_scored((1 - found) * labels),
                true_negative=over_scored((1 - found) * (1 - labels)),
                loss=jnp.sum(loss * jnp.sum(scored, axis=(1, 2))),
                epistemic=over_scored(std(moments)),
                corroded=by_probability(scored & batch.masks),
                sound=by_probability(scored & ~batch.masks),
            ),
            placement,
        )
        return sums, Maps(moments.mean, std(moments), bounded)

    outputs = _unless_stopped(lambda state, batch: (state, validate(state, batch)), placement)
    return lambda state, batch: outputs(state, batch)[1]


def _unless_stopped(function: Callable, placement: Placement) -> Callable:
    """`function` of state and batch to state and outputs; for a member that has stopped the same state and zeros."""
    if placement.members == 1:
        return function  # the loop ends with its only member

    def rest(state: MemberState, batch: DeviceBatch) -> tuple[MemberState, PyTree]:
        outputs = jax.eval_shape(function, state, batch)[1]
        return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), outputs)

    return lambda state, batch: jax.lax.cond(state.schedule.stopped, rest, function, state, batch)


def _gradients(network: SegmenterNetwork, config: TrainConfig) -> GradientsOf:
    """The function that gives what a device's share of the batch says."""

    def of_piece(state: MemberState, piece: DeviceBatch, freeze: bool) -> Gradients:
        images, labels, scored = _augmented(state, piece, config)
        share = jnp.mean(scored.astype(jnp.float32))
        keys, logit_keys = _noise_keys(state, piece), fold_indices(_step_key(state, "logits"), piece.indices)
        trained, frozen = _divide(state.variables["params"], freeze)

        def loss_of(trained: Variables) -> tuple[Float[Array, ""], Variables]:
            params = {**trained, **frozen}
            outputs = network.apply(
                {**state.variables, "params": params}, images, keys, True, freeze, mutable="batch_stats"
            )
            (logits, log_variance), updated = cast(tuple[tuple[Array, Array], Variables], outputs)
            loss = share * data_loss(logits, log_variance, labels, logit_keys, config.loss, scored)
            return loss, _divide(updated["batch_stats"], freeze)[0]

        (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained)
        return Gradients(loss, share, batch_stats, gradients)

    def of_batch(state: MemberState, batch: DeviceBatch, freeze: bool) -> Gradients:
        statistics, params = (_divide(state.variables[name], freeze)[0] for name in ("batch_stats", "params"))
        zeros = jax.tree.map(jnp.zeros_like, Gradients(jnp.zeros(()), jnp.zeros(()), statistics, params))
        return mean_over_pieces(lambda piece: of_piece(state, piece, freeze), batch, config.accumulation, zeros)

    return of_batch


def _divide(parts: Variables, freeze: bool) -> tuple[Variables, Variables]:
    """The parts of the network that train, and those that do not."""
    frozen = {"backbone": parts["backbone"]} if freeze else {}
    return {name: part for name, part in parts.items() if name not in frozen}, frozen


def _follow(state: MemberState, variables: Variables, config: TrainConfig) -> Variables | tuple[()]:
    """The moving average after a step to `variables`, if one is kept."""
    return state.average and moving_average(state.average, variables, state.step, config.optimizer.ema_decay)


def _training_network(config: TrainConfig, placement: Placement) -> SegmenterNetwork:
    policy = Policy(config.model.dtype, frozen_norm=config.frozen_norm, rematerialize=config.rematerialize)
    if placement.replicas > 1:
        policy = dataclasses.replace(policy, axis_name=AXIS, axis_index_groups=placement.axis_index_groups)
    return build_network(config.model, policy)


def _augmented(state: MemberState, batch: DeviceBatch, config: TrainConfig) -> Augmented:
    keys = fold_indices(_step_key(state, "augmentation"), batch.indices)
    augmented = augment(keys, batch.images, batch.masks, batch.ignored, batch.extents, config.augmentation)
    return augmented._replace(images=normalize(augmented.images, config.data.mean, config.data.std))


def _noise_keys(state: MemberState, batch: DeviceBatch) -> NoiseKeys:
    """Noise by member, step and place in the whole batch, so that the number of devices does not matter."""
    key = _step_key(state, "noise")
    return noise_keys(key, fold_indices(key, batch.indices))


def _step_key(state: MemberState, name: str) -> Key[Array, ""]:
    return jax.random.fold_in(stream(state.key, name), state.step)
