"""HRNetV2's backbone: a stem and four stages of parallel branches that exchange what they see (Wang et al. 2020).

Deterministic from end to end; what is random lives in the head.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from spotrust_jax.models.layers import ConvNorm, Policy
from spotrust_jax.models.presets import Architecture
from spotrust_jax.models.resize import resize

FeatureMap = Float[Array, "batch _height _width _channel"]

BOTTLENECK_EXPANSION = 4

COARSEST_CELL = 32
"""Pixels of the image along each side of one cell of the coarsest branch, and the smallest side of an image."""


def apply_sequence(parent: nn.Module, names: list[str], module: nn.Module, x: PyTree, train: bool) -> PyTree:
    """Applies `parent`'s children `names`, all like `module`, one after the other; shapes stay as they are.

    In training they are steps of one loop over their stacked variables. XLA on a CPU otherwise computes the sums along
    the skip paths again in everything that uses them, back to the start of the stage. The variables' tree is the same.
    Where batch norm averages over replicas there is no loop: averages over devices within one have crashed on host
    devices.
    """
    if not train or parent.is_initializing() or len(names) < 2 or module.policy.axis_name is not None:
        for name in names:
            x = module.clone(parent=parent, name=name)(x, train)
        return x
    trees = [{kind: tree[name] for kind, tree in parent.variables.items()} for name in names]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def one(x: PyTree, variables: PyTree) -> tuple[PyTree, PyTree]:
        x, updated = module.apply(variables, x, train, mutable="batch_stats")
        return x, updated["batch_stats"]

    x, updated = jax.lax.scan(one, x, stacked)
    for index, name in enumerate(names):
        parent.put_variable("batch_stats", name, jax.tree.map(lambda leaf, i=index: leaf[i], updated))
    return x


def block_class(kind: type[nn.Module], policy: Policy) -> type[nn.Module]:
    """`kind`, or the same computed again in the backward pass where the policy says so."""
    # Argument 2 is `train`, after the module itself and its input.
    return nn.remat(kind, static_argnums=(2,)) if policy.rematerialize else kind


class Stem(nn.Module):
    """Two 3x3 convolutions of stride two: an image becomes 64 channels at a quarter of its size."""

    policy: Policy

    @nn.compact
    def __call__(self, images: FeatureMap, train: bool) -> FeatureMap:
        """Images [B, H, W, 3] to [B, ceil(H/4), ceil(W/4), 64]."""
        x = ConvNorm(64, 3, self.policy, stride=2, name="unit1")(images, train)
        return ConvNorm(64, 3, self.policy, stride=2, name="unit2")(x, train)


class Bottleneck(nn.Module):
    """Residual block of stage 1: 1x1, 3x3, 1x1, with a projection on the skip path where the channels change."""

    channels: int
    policy: Policy

    @nn.compact
    def __call__(self, x: FeatureMap, train: bool) -> FeatureMap:
        """Puts out four times `channels`."""
        out = BOTTLENECK_EXPANSION * self.channels
        y = ConvNorm(self.channels, 1, self.policy, name="unit1")(x, train)
        y = ConvNorm(self.channels, 3, self.policy, name="unit2")(y, train)
        y = ConvNorm(out, 1, self.policy, relu=False, name="unit3")(y, train)
        if x.shape[-1] != out:
            x = ConvNorm(out, 1, self.policy, relu=False, name="projection")(x, train)
        return nn.relu(x + y)


class BasicBlock(nn.Module):
    """Residual block of the branches: two 3x3 convolutions, channels unchanged."""

    policy: Policy

    @nn.compact
    def __call__(self, x: FeatureMap, train: bool) -> FeatureMap:
        """Keeps the shape."""
        y = ConvNorm(x.shape[-1], 3, self.policy, name="unit1")(x, train)
        y = ConvNorm(x.shape[-1], 3, self.policy, relu=False, name="unit2")(y, train)
        return nn.relu(x + y)


class Exchange(nn.Module):
    """Fuses every branch into every other by summation, each brought to the other's size and channels."""

    policy: Policy

    @nn.compact
    def __call__(self, branches: list[FeatureMap], train: bool) -> list[FeatureMap]:
        """Branches keep their shapes."""
        return [nn.relu(self._fuse(branches, target, train)) for target in range(len(branches))]

    def _fuse(self, branches: list[FeatureMap], target: int, train: bool) -> FeatureMap:
        brought = []
        for source, x in enumerate(branches):
            if source > target:
                x = self._finer(x, branches[target], f"from{source}_to{target}", train)
            elif source < target:
                x = self._coarser(x, branches, source, target, train)
            brought.append(x)
        return functools.reduce(jnp.add, brought)

    def _finer(self, x: FeatureMap, like: FeatureMap, name: str, train: bool) -> FeatureMap:
        x = ConvNorm(like.shape[-1], 1, self.policy, relu=False, name=name)(x, train)
        return resize(x, like.shape[1:3], "bilinear")

    def _coarser(self, x: FeatureMap, branches: list[FeatureMap], source: int, target: int, train: bool) -> FeatureMap:
        for step in range(target - source):
            last = step == target - source - 1
            channels = branches[target].shape[-1] if last else branches[source].shape[-1]
            name = f"from{source}_to{target}_step{step}"
            x = ConvNorm(channels, 3, self.policy, stride=2, relu=not last, name=name)(x, train)
        return x


class ExchangeModule(nn.Module):
    """A run of basic blocks on each branch, then an exchange."""

    blocks: int
    policy: Policy

    @nn.compact
    def __call__(self, branches: list[FeatureMap], train: bool) -> list[FeatureMap]:
        """Branches keep their shapes."""
        branches = list(branches)
        for index in range(len(branches)):
            names = [f"branch{index}_block{block}" for block in range(self.blocks)]
            block = block_class(BasicBlock, self.policy)(self.policy, parent=None)
            branches[index] = apply_sequence(self, names, block, branches[index], train)
        return block_class(Exchange, self.policy)(self.policy, name="exchange")(branches, train)


class Transition(nn.Module):
    """Opens one more branch from the coarsest one and gives the others the next stage's channels."""

    channels: tuple[int, ...]
    policy: Policy

    @nn.compact
    def __call__(self, branches: list[FeatureMap], train: bool) -> list[FeatureMap]:
        """One branch more than came in."""
        out = []
        for index, x in enumerate(branches):
            if x.shape[-1] != self.channels[index]:
                x = ConvNorm(self.channels[index], 3, self.policy, name=f"branch{index}")(x, train)
            out.append(x)
        new = len(branches)
        out.append(ConvNorm(self.channels[new], 3, self.policy, stride=2, name=f"branch{new}")(branches[-1], train))
        return out


class Backbone(nn.Module):
    """Images to the four branch outputs of stage 4."""

    architecture: Architecture
    policy: Policy

    @nn.compact
    def __call__(self, images: FeatureMap, train: bool) -> tuple[FeatureMap, ...]:
        """Normalised images [B, H, W, 3] to branches at 1/4, 1/8, 1/16 and 1/32 of the size, rounded up."""
        x = Stem(self.policy, name="stem")(images, train)
        block = block_class(Bottleneck, self.policy)(self.architecture.stage1_channels, self.policy, parent=None)
        names = [f"stage1_block{number}" for number in range(self.architecture.stage1_blocks)]
        # The first has a projection that the others lack.
        x = apply_sequence(self, names[:1], block, x, train)
        x = apply_sequence(self, names[1:], block, x, train)
        branches = [x]
        for stage, modules in zip((2, 3, 4), self.architecture.modules, strict=True):
            channels = self.architecture.branch_channels(stage)
            branches = Transition(channels, self.policy, name=f"transition{stage}")(branches, train)
            names = [f"stage{stage}_module{module}" for module in range(modules)]
            alike = ExchangeModule(self.architecture.blocks, self.policy, parent=None)
            branches = apply_sequence(self, names, alike, branches, train)
        return tuple(branches)
