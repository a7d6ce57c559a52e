"""One training step and one validation batch of one member, as pure functions for `ensemble.over_members`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from spotrust_jax.config import TrainConfig
from spotrust_jax.data.augmentation import augment
from spotrust_jax.ensemble import AXIS, Placement, average, total
from spotrust_jax.losses import attenuated_cross_entropy, bound_log_variance, variational_kl
from spotrust_jax.models.heads import NoiseKeys, noise_keys
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables, build_network, normalize
from spotrust_jax.random_streams import fold_indices, stream
from spotrust_jax.sampling import Maps, deviation, member_moments
from spotrust_jax.training.state import MemberState, make_optimizer


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
    config: TrainConfig, placement: Placement, training_pixels: int
) -> Callable[[MemberState, DeviceBatch], tuple[MemberState, Float[Array, ""]]]:
    """The step of one member: state and batch to state and loss; nothing at all happens to a member that has stopped.

    Args:
        config: the experiment.
        placement: over which devices gradients and batch statistics are averaged.
        training_pixels: pixels of the training split, which the KL term is spread over.
    """
    network = _training_network(config, placement)
    optimizer = make_optimizer(config)

    def step(state: MemberState, batch: DeviceBatch) -> tuple[MemberState, Float[Array, ""]]:
        images, labels = _augmented(state, batch, config)
        keys = _noise_keys(state, batch)

        def loss_of(params: Variables) -> tuple[Float[Array, ""], Variables]:
            variables = {**state.variables, "params": params}
            (logits, log_variance), updated = network.apply(variables, images, keys, train=True, mutable="batch_stats")
            return _loss(params, logits, log_variance, labels, config, training_pixels), updated["batch_stats"]

        (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.variables["params"])
        loss, gradients = average((loss, gradients), placement)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer)
        scale = state.schedule.reduction.scale
        params = jax.tree.map(lambda p, u: p + scale * u, state.variables["params"], updates)
        failed = ~jnp.isfinite(loss) & (state.bad_step < 0)
        new_state = state._replace(
            step=state.step + 1,
            variables={"params": params, "batch_stats": batch_stats},
            optimizer=optimizer_state,
            bad_step=jnp.where(failed, state.step, state.bad_step),
            loss_sum=state.loss_sum + loss,
        )
        return new_state, loss

    if config.members == 1:
        return step  # its run ends where it stops

    def unless_stopped(state: MemberState, batch: DeviceBatch) -> tuple[MemberState, Float[Array, ""]]:
        rest = lambda state, batch: (state, jnp.zeros(()))  # noqa: E731
        return jax.lax.cond(state.schedule.stopped, rest, step, state, batch)

    return unless_stopped


def validation_step(
    config: TrainConfig, placement: Placement
) -> Callable[[MemberState, DeviceBatch], tuple[ValidationSums, Maps]]:
    """Sums of one member over a validation batch, from `config.validation_samples` passes at threshold one half.

    The maps of the batch come with them. Both are zeros for a member that has stopped.
    """
    network = build_network(config.model)

    def validate(state: MemberState, batch: DeviceBatch) -> tuple[ValidationSums, Maps]:
        keys = fold_indices(stream(state.key, "validation"), batch.indices)
        images = normalize(batch.images / 255.0, config.data.mean, config.data.deviation)
        moments, log_variance = member_moments(
            network, state.variables, images, keys, num_samples=config.validation_samples
        )
        labels = batch.masks.astype(jnp.float32)
        found = (moments.mean >= 0.5).astype(jnp.float32)
        probability = jnp.clip(moments.mean, 1e-6, 1 - 1e-6)
        loss = jax.vmap(lambda *maps: _data_loss(*(m[None] for m in maps), config))(
            jnp.log(probability) - jnp.log1p(-probability), log_variance, labels
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

    if config.members == 1:
        return validate

    def unless_stopped(state: MemberState, batch: DeviceBatch) -> tuple[ValidationSums, Maps]:
        shapes = jax.eval_shape(validate, state, batch)
        rest = lambda state, batch: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)  # noqa: E731
        return jax.lax.cond(state.schedule.stopped, rest, validate, state, batch)

    return unless_stopped


def _training_network(config: TrainConfig, placement: Placement) -> SegmenterNetwork:
    if placement.replicas == 1:
        return build_network(config.model)
    policy = Policy(config.model.dtype, AXIS, placement.axis_index_groups)
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


def _loss(
    params: Variables,
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    config: TrainConfig,
    training_pixels: int,
) -> Float[Array, ""]:
    """Negative evidence lower bound per training pixel, in nats."""
    loss = _data_loss(logits, log_variance, labels, config)
    if config.model.variant != "variational":
        return loss
    kl = variational_kl(params, config.model.prior_deviation)
    return loss + config.loss.kl_weight * kl / training_pixels


def _data_loss(
    logits: Float[Array, "batch height width"],
    log_variance: Float[Array, "batch height width"],
    labels: Float[Array, "batch height width"],
    config: TrainConfig,
) -> Float[Array, ""]:
    return attenuated_cross_entropy(
        logits,
        log_variance,
        labels,
        positive_weight=config.loss.positive_weight,
        bound=config.loss.log_variance_bound,
        bounding=config.loss.log_variance_bounding,
    )
