"""Members and replicas on one device axis: which device computes which member, and on which share of the batch.

With M members on D devices there are g = gcd(M, D) groups of devices. A group holds M / g members, which its devices
run in turn, and its D / g devices are replicas that split the batch. M = 1 is plain data parallelism. Devices may
belong to several processes: each holds, reads and computes only what is on its own.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int64, PyTree

from spotrust_jax.typing import Device

AXIS = "devices"

# How arrays lie on the mesh of groups and replicas: one part on each device, or one for each group.
_ALL, _BY_GROUP = PartitionSpec(("group", "replica")), PartitionSpec("group")


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

    def members_of(self, group: int) -> range:
        """Members that the devices of a group hold."""
        return range(group * self.members_per_device, (group + 1) * self.members_per_device)

    def round_up(self, batch: int) -> int:
        """The smallest batch from `batch` up that the replicas can split."""
        return -(-batch // self.replicas) * self.replicas


class DeviceGrid(NamedTuple):
    """A placement on devices, all of this process or some of other processes.

    Trees on the grid have leaves [local devices, members_per_device, ...], the same on all replicas; "local" are those
    of this process.
    """

    members: int
    devices: tuple[Device, ...]

    @property
    def placement(self) -> Placement:
        """Which device has which members."""
        return Placement(self.members, len(self.devices))

    @property
    def local(self) -> tuple[int, ...]:
        """Indices of this process's devices."""
        process = jax.process_index()
        return tuple(index for index, device in enumerate(self.devices) if device.process_index == process)

    @property
    def local_groups(self) -> dict[int, tuple[int, ...]]:
        """Groups with devices of this process, and which replicas these are."""
        replicas = self.placement.replicas
        groups = sorted({index // replicas for index in self.local})
        return {group: tuple(i % replicas for i in self.local if i // replicas == group) for group in groups}

    def rows(self, batch: int) -> dict[int, Int64[np.ndarray, "rows"]]:
        """For each member of this process, which rows of its batch the devices here take, in their order."""
        share = batch // self.placement.replicas
        return {
            member: np.concatenate([np.arange(replica * share, (replica + 1) * share) for replica in here])
            for group, here in self.local_groups.items()
            for member in self.placement.members_of(group)
        }

    def split(self, batches: Mapping[int, PyTree]) -> PyTree:
        """Those rows of each member's batch, leaves [rows, ...], to leaves [.., .., rows of a device, ...]."""

        def one(*leaves: np.ndarray) -> np.ndarray:
            of_member = dict(zip(batches, leaves, strict=True))
            parts = []
            for group, here in self.local_groups.items():
                rows = np.stack([of_member[member] for member in self.placement.members_of(group)])
                parts.append(rows.reshape(len(rows), len(here), -1, *rows.shape[2:]).swapaxes(0, 1))
            return np.concatenate(parts)

        return self._put(jax.tree.map(one, *batches.values()))

    def spread(self, tree: PyTree) -> PyTree:
        """Leaves [members, ...], on the host, onto the grid."""
        groups = np.array([index // self.placement.replicas for index in self.local])

        def one(leaf: np.ndarray) -> np.ndarray:
            leaf = np.asarray(leaf)
            return leaf.reshape(self.placement.groups, self.placement.members_per_device, *leaf.shape[1:])[groups]

        return self._put(jax.tree.map(one, tree))

    def gather(self, tree: PyTree) -> PyTree:
        """The reverse of `spread`, in every process: small leaves only, since each member's goes to each device."""
        if len(self.local) < len(self.devices):
            tree = jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], _all_gather(self)(tree))
        replicas = self.placement.replicas
        one = lambda leaf: leaf[::replicas].reshape(self.members, *leaf.shape[2:])  # noqa: E731
        return jax.tree.map(one, jax.device_get(tree))

    def stacked(self, tree: PyTree) -> PyTree:
        """A tree on the grid as arrays [members, ...] over all processes, independent of the number of devices."""
        everywhere = NamedSharding(self._groups, _ALL)
        tree = jax.tree.map(lambda leaf: _same_buffers(leaf, len(self.devices), everywhere), tree)
        return _without_device_axis(self._groups)(tree)

    def unstacked(self, tree: PyTree) -> PyTree:
        """The reverse of `stacked`."""
        tree = _with_device_axis(self._groups)(tree)
        return jax.tree.map(lambda leaf: _same_buffers(leaf, len(self.local), self._sharding), tree)

    @property
    def stacked_sharding(self) -> NamedSharding:
        """Where the leaves of `stacked` trees are: each member on the devices of its group."""
        return NamedSharding(self._groups, _BY_GROUP)

    @property
    def _groups(self) -> Mesh:
        return Mesh(np.array(self.devices).reshape(self.placement.groups, -1), _ALL[0])

    @property
    def _sharding(self) -> NamedSharding:
        """Where leaves on the grid are: what `pmap` takes and gives without moving anything."""
        return NamedSharding(Mesh(np.array([self.devices[i] for i in self.local]), AXIS), PartitionSpec(AXIS))

    def _put(self, tree: PyTree) -> PyTree:
        return jax.device_put(tree, self._sharding)


@functools.lru_cache(maxsize=8)
def _without_device_axis(groups: Mesh) -> Callable:
    """Leaves [devices, members_per_device, ...] to [members, ...]; that replicas are equal is taken for granted."""
    first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)  # noqa: E731
    return jax.jit(jax.shard_map(first, mesh=groups, in_specs=_ALL, out_specs=_BY_GROUP, check_vma=False))


@functools.lru_cache(maxsize=8)
def _with_device_axis(groups: Mesh) -> Callable:
    """The reverse."""
    one = lambda tree: jax.tree.map(lambda leaf: leaf[None], tree)  # noqa: E731
    return jax.jit(jax.shard_map(one, mesh=groups, in_specs=_BY_GROUP, out_specs=_ALL, check_vma=False))


@functools.lru_cache(maxsize=8)
def _all_gather(grid: DeviceGrid) -> Callable:
    return jax.pmap(lambda tree: jax.lax.all_gather(tree, AXIS), AXIS, devices=list(grid.devices))


def _same_buffers(leaf: jax.Array, length: int, sharding: NamedSharding) -> jax.Array:
    """The array's parts as an array of another leading length and sharding, nothing moved."""
    parts = [shard.data for shard in leaf.addressable_shards]
    return jax.make_array_from_single_device_arrays((length, *leaf.shape[1:]), sharding, parts)


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


def over_members(function: Callable, grid: DeviceGrid, *, donate: bool = False) -> Callable:
    """`function(state, batch)` of one member, over all members: on many devices at once, on one device in turn.

    Takes and returns trees on the grid. With `donate` the state's memory is used again.
    """

    def on_one_device(state: PyTree, batch: PyTree) -> PyTree:
        if grid.placement.members_per_device == 1:
            out = function(*jax.tree.map(lambda leaf: leaf[0], (state, batch)))
            return jax.tree.map(lambda leaf: leaf[None], out)
        # In turn, because different kernels side by side become grouped convolutions, which are slow.
        return jax.lax.map(lambda inputs: function(*inputs), (state, batch))

    return jax.pmap(on_one_device, AXIS, devices=list(grid.devices), donate_argnums=(0,) if donate else ())


def over_devices(function: Callable, devices: Sequence[Device], *, shared: int, static: int) -> Callable:
    """`function(members, *others)` of members that are spread over devices, to what is the same on all of them.

    `members` is a tree on the grid. Of the others there are `shared`, the same on every device; the argument numbered
    `static` is compiled in.
    """
    axes = (0, *[None] * shared)
    return jax.pmap(
        function, AXIS, devices=list(devices), in_axes=axes, out_axes=None, static_broadcasted_argnums=static
    )
