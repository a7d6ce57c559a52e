"""Placement of members and replicas on eight host devices; several processes are in training/test_processes.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.parallel import DeviceGrid, average, over_members

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
