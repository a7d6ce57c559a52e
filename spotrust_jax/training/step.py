"""One training step and one validation batch of one member, as pure functions for `ensemble.over_members`."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

from spotrust_jax.config import TrainConfig
from spotrust_jax.data.augmentation import augment
from spotrust_jax.data.pipeline import steps_per_epoch
from spotrust_jax.ensemble import AXIS, Placement, average, total
from spotrust_jax.losses import bound_log_variance
from spotrust_jax.models.folding import fold_norms, folded_network
from spotrust_jax.models.heads import NoiseKeys, noise_keys
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables, build_network, normalize
from spotrust_jax.random_streams import fold_indices, stream
from spotrust_jax.sampling import Maps, deviation, member_passes
from spotrust_jax.training.accumulation import check_pieces, mean_over_pieces
from spotrust_jax.training.objective import data_loss, negative_evidence
from spotrust_jax.training.optimizer import make_optimizer, moving_average
from spotrust_jax.training.schedule import rate_scale
from spotrust_jax.training.state import MemberState

# Loss, batch statistics and gradients by a state, a batch and whether the backbone is frozen; of what is not frozen.
Gradients = Callable[[MemberState, "DeviceBatch", bool], tuple[Float[Array, ""], Variables, Variables]]


class DeviceBatch(NamedTuple):
    """A device's share of one member's batch; `indices` are places in the whole batch."""

    images: UInt8[Array, "batch height width 3"]
    masks: Bool[Array, "batch height width"]
    valid: Bool[Array, "batch"]
    indices: Int[Array, "batch"]


def device_batch_shapes(config: TrainConfig, share: int) -> DeviceBatch:
    """Shapes and types of a batch of `share` examples."""
    size = (share, *config.data.image_size)
    shape = jax.ShapeDtypeStruct
    return DeviceBatch(
        shape((*size, 3), jnp.uint8), shape(size, jnp.bool_), shape((share,), jnp.bool_), shape((share,), jnp.int32)
    )


class ValidationSums(NamedTuple):
    """Sums over the pixels of valid examples, for one member; they add up over batches."""

    true_positive: Float[Array, ""]
    false_positive: Float[Array, ""]
    false_negative: Float[Array, ""]
    true_negative: Float[Array, ""]
    loss: Float[Array, ""]
    epistemic: Float[Array, ""]


def train_step(
    config: TrainConfig, placement: Placement, training_images: int
) -> Callable[[MemberState, DeviceBatch], tuple[MemberState, Float[Array, ""]]]:
    """The step of one member: state and batch to state and loss; nothing at all happens to a member that has stopped.

    Args:
        config: the experiment.
        placement: over which devices gradients and batch statistics are averaged.
        training_images: photographs of an epoch; the KL term is spread over the pixels of their crops.

    Raises:
        InputError: where the pieces of `config.accumulation` cannot be of one size.
    """
    check_pieces(config, placement)
    steps = steps_per_epoch(training_images, config.batch_size)
    training_pixels = training_images * math.prod(config.augmentation.crop_size)
    frozen_steps = config.fine_tuning.freeze_epochs * steps
    gradients_of = _gradients(_training_network(config, placement), config, training_pixels)
    optimizer, scale = make_optimizer(config), rate_scale(config, steps)

    def step(state: MemberState, batch: DeviceBatch, freeze: bool) -> tuple[MemberState, Float[Array, ""]]:
        loss, batch_stats, gradients = gradients_of(state, batch, freeze)
        loss, gradients = average((loss, gradients), placement)
        params, factor = state.variables["params"], scale(state.schedule, state.step)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, params)
        changed = jax.tree.map(lambda p, u: p + factor * u, {name: params[name] for name in updates}, updates)
        variables = {
            "params": {**params, **changed},
            "batch_stats": {**state.variables["batch_stats"], **batch_stats},
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

    def validate(state: MemberState, batch: DeviceBatch) -> tuple[ValidationSums, Maps]:
        keys = fold_indices(stream(state.key, "validation"), batch.indices)
        images = normalize(batch.images / 255.0, config.data.mean, config.data.deviation)
        passes = member_passes(
            network, fold_norms(state.evaluated), images, keys, num_samples=config.validation_samples
        )
        moments, log_variance = passes.moments, passes.log_variance
        labels = batch.masks.astype(jnp.float32)
        found = (moments.mean >= 0.5).astype(jnp.float32)
        probability = jnp.clip(moments.mean, 1e-6, 1 - 1e-6)
        loss = jax.vmap(lambda *maps: data_loss(*(m[None] for m in maps), config.loss))(
            jnp.log(probability) - jnp.log1p(-probability), log_variance, labels, stream(keys, "logits")
        )
        pixels = batch.masks.shape[1] * batch.masks.shape[2]

        def over_valid(values: Float[Array, "batch height width"]) -> Float[Array, ""]:
            return jnp.sum(jnp.where(batch.valid, jnp.sum(values, axis=(1, 2)), 0.0))

        bounded = bound_log_variance(log_variance, config.loss.log_variance_bound, config.loss.log_variance_bounding)
        sums = total(
            ValidationSums(
                true_positive=over_valid(found * labels),
                false_positive=over_valid(found * (1 - labels)),
                false_negative=over_valid((1 - found) * labels),
                true_negative=over_valid((1 - found) * (1 - labels)),
                loss=jnp.sum(jnp.where(batch.valid, loss * pixels, 0.0)),
                epistemic=over_valid(deviation(moments)),
            ),
            placement,
        )
        return sums, Maps(moments.mean, deviation(moments), bounded)

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


def _gradients(network: SegmenterNetwork, config: TrainConfig, training_pixels: int) -> Gradients:
    """The function that gives loss, batch statistics and gradients of a device's share of the batch."""

    def of_piece(state: MemberState, piece: DeviceBatch, freeze: bool) -> tuple[Float[Array, ""], Variables, Variables]:
        images, labels = _augmented(state, piece, config)
        keys, logit_keys = _noise_keys(state, piece), fold_indices(_step_key(state, "logits"), piece.indices)
        trained, frozen = _divide(state.variables["params"], freeze)

        def loss_of(trained: Variables) -> tuple[Float[Array, ""], Variables]:
            params = {**trained, **frozen}
            (logits, log_variance), updated = network.apply(
                {**state.variables, "params": params}, images, keys, True, freeze, mutable="batch_stats"
            )
            loss = data_loss(logits, log_variance, labels, logit_keys, config.loss)
            loss = negative_evidence(loss, params, state.prior, config, training_pixels)
            return loss, _divide(updated["batch_stats"], freeze)[0]

        (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained)
        return loss, batch_stats, gradients

    def of_batch(state: MemberState, batch: DeviceBatch, freeze: bool) -> tuple[Float[Array, ""], Variables, Variables]:
        statistics, params = (_divide(state.variables[name], freeze)[0] for name in ("batch_stats", "params"))
        zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), statistics, params))
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


def _augmented(
    state: MemberState, batch: DeviceBatch, config: TrainConfig
) -> tuple[Float[Array, "batch height width 3"], Float[Array, "batch height width"]]:
    keys = fold_indices(_step_key(state, "augmentation"), batch.indices)
    images, labels = augment(keys, batch.images, batch.masks, config.augmentation)
    return normalize(images, config.data.mean, config.data.deviation), labels


def _noise_keys(state: MemberState, batch: DeviceBatch) -> NoiseKeys:
    """Noise by member, step and place in the whole batch, so that the number of devices does not matter."""
    key = _step_key(state, "noise")
    return noise_keys(key, fold_indices(key, batch.indices))


def _step_key(state: MemberState, name: str) -> Key[Array, ""]:
    return jax.random.fold_in(stream(state.key, name), state.step)
