"""Placement of members and replicas on eight host devices; several processes are in training/test_processes.py."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from spotrust_jax.parallel import AXIS, DeviceGrid, average, over_devices, over_members, total

CASES = [(3, 8), (8, 3), (1, 1), (1, 8), (4, 6), (2, 8), (8, 8)]


def _grid(members: int, devices: int) -> DeviceGrid:
    return DeviceGrid(members, tuple(jax.devices()[:devices]))


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_every_device_works_and_every_example_is_seen_once(members, devices):
    grid = _grid(members, devices)
    placement = grid.placement
    assert placement.groups * placement.members_per_device == members
    assert placement.groups * placement.replicas == devices
    batch = placement.round_up(5)
    # What member m sees of example e, as one number.
    numbers = np.arange(members)[:, None] * 1000 + np.arange(batch)[None]
    rows = grid.rows(batch)
    assert sorted(rows) == list(range(members))
    state = grid.spread(np.arange(members))
    shares = grid.split({member: numbers[member][places] for member, places in rows.items()})
    assert shares.shape[:2] == (devices, placement.members_per_device) == state.shape
    assert len(shares.sharding.device_set) == devices
    shares, state = np.asarray(shares), np.asarray(state)
    np.testing.assert_array_equal(shares // 1000, np.broadcast_to(state[..., None], shares.shape))
    np.testing.assert_array_equal(np.sort(shares.ravel()), np.sort(numbers.ravel()))
    np.testing.assert_array_equal(grid.gather(state), np.arange(members))


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_stacked_members_are_the_same_on_any_devices_and_come_back(members, devices):
    grid, values = _grid(members, devices), np.arange(6.0 * members, dtype=np.float32).reshape(members, 2, 3)
    stacked = grid.stacked({"a": grid.spread(values)})["a"]
    np.testing.assert_array_equal(stacked, values)
    assert stacked.sharding.is_equivalent_to(grid.stacked_sharding, 3)
    back = grid.unstacked({"a": stacked})["a"]
    # As pmap takes and gives it, so that going on compiles nothing anew.
    assert back.sharding == grid.spread(values).sharding
    np.testing.assert_array_equal(grid.gather(back), values)


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_average_over_replicas_is_the_mean_over_the_whole_batch(members, devices):
    grid = _grid(members, devices)
    batch = np.random.default_rng(0).normal(size=(members, grid.placement.round_up(5))).astype(np.float32)
    state = np.arange(members, dtype=np.float32)

    def member_mean(state, batch):
        return state + average(jnp.mean(batch), grid.placement)

    mapped = over_members(member_mean, grid)
    out = grid.gather(mapped(grid.spread(state), grid.split(dict(enumerate(batch)))))
    np.testing.assert_allclose(out, np.arange(members) + batch.mean(axis=1), rtol=1e-5, atol=1e-6)


def _step(state, batch, average, total):
    """A step of SGD with dropout and a running mean: what a training step exchanges between replicas, in little."""

    def loss_of(weights):
        keys = jax.vmap(lambda index: jax.random.fold_in(jax.random.fold_in(jax.random.key(0), state["step"]), index))(
            batch["indices"]
        )
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 0.7, weights.shape))(keys)
        return jnp.mean((jnp.tanh((batch["inputs"] * kept) @ weights) - batch["labels"]) ** 2)

    loss, gradient = average(jax.value_and_grad(loss_of)(state["weights"]))
    seen = total(jnp.sum(batch["labels"] > 0))
    mean = 0.9 * state["mean"] + 0.1 * average(jnp.mean(batch["inputs"]))
    weights = state["weights"] - 0.3 * gradient
    return {"weights": weights, "mean": mean, "step": state["step"] + 1}, (loss, seen)


def _with_shard_map(grid):
    """The same step of all members: [members, ...] over groups of devices, each member's batch over the replicas."""
    placement = grid.placement
    mesh = Mesh(np.array(grid.devices).reshape(placement.groups, placement.replicas), ("group", "replica"))
    exchange = (functools.partial(combine, axis_name="replica") for combine in (jax.lax.pmean, jax.lax.psum))
    step = functools.partial(_step, **dict(zip(("average", "total"), exchange, strict=True)))
    by_group, by_replica = PartitionSpec("group"), PartitionSpec("group", "replica")
    mapped = jax.shard_map(
        lambda *inputs: jax.lax.map(lambda one: step(*one), inputs),
        mesh=mesh,
        in_specs=(by_group, by_replica),
        out_specs=by_group,
        check_vma=False,
    )
    return jax.jit(mapped)


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_pmap_is_jit_with_shard_map(members, devices):
    grid, rng = _grid(members, devices), np.random.default_rng(0)
    exchange = {name.__name__: functools.partial(name, placement=grid.placement) for name in (average, total)}
    with_pmap, with_shard_map = over_members(functools.partial(_step, **exchange), grid), _with_shard_map(grid)
    state = {
        "weights": rng.normal(size=(members, 5)).astype(np.float32),
        "mean": np.zeros(members, np.float32),
        "step": np.arange(members, dtype=np.int32),
    }
    spread, size = grid.spread(state), grid.placement.round_up(6)
    for _ in range(4):
        batch = {
            "inputs": rng.normal(size=(members, size, 5)).astype(np.float32),
            "labels": rng.normal(size=(members, size)).astype(np.float32),
            "indices": np.tile(np.arange(size, dtype=np.int32), (members, 1)),
        }
        of_members = {member: jax.tree.map(lambda leaf, m=member: leaf[m], batch) for member in range(members)}
        spread, outputs = with_pmap(spread, grid.split(of_members))
        state, expected = with_shard_map(state, batch)
        for found, wanted in zip(
            jax.tree.leaves(grid.gather((spread, outputs))), jax.tree.leaves((state, expected)), strict=True
        ):
            # Both are programs of their own, whose operations XLA fuses as it likes.
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("members", "devices"), [(3, 3), (6, 3), (8, 8)])
def test_pmap_of_shared_arguments_is_jit_with_shard_map(members, devices):
    grid, rng = _grid(members, devices), np.random.default_rng(0)
    weights, inputs = rng.normal(size=(members, 4)).astype(np.float32), rng.normal(size=(7, 4)).astype(np.float32)

    def function(weights, inputs, power, shift):
        """Mean over all members of something of each."""
        return jax.lax.pmean(jnp.mean(jax.nn.sigmoid(inputs @ weights.T + shift) ** power, axis=1), AXIS)

    mesh = Mesh(np.array(grid.devices), AXIS)
    specs = (PartitionSpec(AXIS), PartitionSpec(), PartitionSpec())
    mapped = jax.shard_map(
        lambda weights, inputs, shift: function(weights, inputs, 3, shift),
        mesh=mesh,
        in_specs=specs,
        out_specs=PartitionSpec(),
    )
    found = over_devices(function, grid.devices, shared=3, static=2)(grid.spread(weights), inputs, 3, np.float32(0.5))
    np.testing.assert_allclose(found, jax.jit(mapped)(weights, inputs, np.float32(0.5)), rtol=1e-6)
    expected = (1 / (1 + np.exp(-(inputs @ weights.T + 0.5).astype(np.float64)))) ** 3
    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-5)


def test_no_other_module_knows_pmap():
    package = Path(__file__).resolve().parents[1] / "spotrust_jax"
    users = [
        path.name for path in package.rglob("*.py") if re.search(r"\bjax\.pmap\b|import .*\bpmap\b", path.read_text())
    ]
    assert users == ["parallel.py"]
