"""Members and replicas on one device axis: which device computes which member, and on which share of the batch.

With M members on D devices there are g = gcd(M, D) groups of devices. A group holds M / g members, which its devices
run in turn, and its D / g devices are replicas that split the batch. M = 1 is plain data parallelism.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

AXIS = "devices"


class Placement(NamedTuple):
    """Members on devices."""

    members: int
    devices: int

    @property
    def groups(self) -> int:
        """Groups of devices that hold the same members."""
        return math.gcd(self.members, self.devices)

    @property
    def members_per_device(self) -> int:
        """Members that a device runs in turn."""
        return self.members // self.groups

    @property
    def replicas(self) -> int:
        """Devices that share members and split their batch."""
        return self.devices // self.groups

    @property
    def axis_index_groups(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the devices of each group."""
        starts = range(0, self.devices, self.replicas)
        return tuple(tuple(range(start, start + self.replicas)) for start in starts)

    def spread(self, tree: PyTree) -> PyTree:
        """Leaves [members, ...], on the host, to [devices, members_per_device, ...], the same on all replicas."""

        def one(leaf: np.ndarray) -> np.ndarray:
            grouped = leaf.reshape(self.groups, 1, self.members_per_device, *leaf.shape[1:])
            copies = np.broadcast_to(grouped, (self.groups, self.replicas, *grouped.shape[2:]))
            return copies.reshape(self.devices, self.members_per_device, *leaf.shape[1:])

        return jax.tree.map(one, tree)

    def gather(self, tree: PyTree) -> PyTree:
        """The reverse of `spread`, from the devices to the host: takes each group's first replica."""

        def one(leaf: np.ndarray) -> np.ndarray:
            return leaf[:: self.replicas].reshape(self.members, *leaf.shape[2:])

        return jax.tree.map(one, jax.device_get(tree))

    def split(self, tree: PyTree) -> PyTree:
        """Leaves [members, batch, ...] to [devices, members_per_device, batch / replicas, ...]."""

        def one(leaf: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
            share = leaf.shape[1] // self.replicas
            parts = leaf.reshape(self.groups, self.members_per_device, self.replicas, share, *leaf.shape[2:])
            return parts.swapaxes(1, 2).reshape(self.devices, self.members_per_device, share, *leaf.shape[2:])

        return jax.tree.map(one, tree)

    def round_up(self, batch: int) -> int:
        """The smallest batch from `batch` up that the replicas can split."""
        return -(-batch // self.replicas) * self.replicas


def average(tree: PyTree, placement: Placement) -> PyTree:
    """Mean over the replicas of a group, inside a function that `over_members` maps."""
    if placement.replicas == 1:
        return tree
    return jax.lax.pmean(tree, AXIS, axis_index_groups=placement.axis_index_groups)


def total(tree: PyTree, placement: Placement) -> PyTree:
    """Sum over the replicas of a group, inside a function that `over_members` maps."""
    if placement.replicas == 1:
        return tree
    return jax.lax.psum(tree, AXIS, axis_index_groups=placement.axis_index_groups)


def over_members(
    function: Callable, placement: Placement, devices: Sequence[jax.Device], *, donate: bool = False
) -> Callable:
    """`function(state, batch)` of one member, over all members: on many devices at once, on one device in turn.

    Takes and returns leaves [devices, members_per_device, ...]. With `donate` the state's memory is used again.
    """

    def on_one_device(state: PyTree, batch: PyTree) -> PyTree:
        if placement.members_per_device == 1:
            out = function(*jax.tree.map(lambda leaf: leaf[0], (state, batch)))
            return jax.tree.map(lambda leaf: leaf[None], out)
        # In turn, because different kernels side by side become grouped convolutions, which are slow.
        return jax.lax.map(lambda inputs: function(*inputs), (state, batch))

    return jax.pmap(on_one_device, AXIS, devices=list(devices), donate_argnums=(0,) if donate else ())
