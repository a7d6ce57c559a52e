"""Placement of members and replicas on eight host devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.ensemble import Placement, average, over_members

CASES = [(3, 8), (8, 3), (1, 1), (1, 8), (4, 6), (2, 8), (8, 8)]


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_every_device_works_and_every_example_is_seen_once(members, devices):
    placement = Placement(members, devices)
    assert placement.groups * placement.members_per_device == members
    assert placement.groups * placement.replicas == devices
    batch = placement.round_up(5)
    # What member m sees of example e, as one number.
    numbers = np.arange(members)[:, None] * 1000 + np.arange(batch)[None]
    state = placement.spread(np.arange(members))
    shares = placement.split(numbers)
    assert shares.shape[:2] == (devices, placement.members_per_device) == state.shape
    np.testing.assert_array_equal(shares // 1000, np.broadcast_to(state[..., None], shares.shape))
    np.testing.assert_array_equal(np.sort(shares.ravel()), np.sort(numbers.ravel()))
    np.testing.assert_array_equal(placement.gather(state), np.arange(members))


@pytest.mark.parametrize(("members", "devices"), CASES)
def test_average_over_replicas_is_the_mean_over_the_whole_batch(members, devices):
    placement = Placement(members, devices)
    batch = np.random.default_rng(0).normal(size=(members, placement.round_up(5))).astype(np.float32)
    state = np.arange(members, dtype=np.float32)

    def member_mean(state, batch):
        return state + average(jnp.mean(batch), placement)

    mapped = over_members(member_mean, placement, jax.devices()[:devices])
    out = placement.gather(mapped(placement.spread(state), placement.split(batch)))
    np.testing.assert_allclose(out, np.arange(members) + batch.mean(axis=1), rtol=1e-5, atol=1e-6)
