"""State dicts with the released names and random weights, made from the names alone: needs no PyTorch."""

from collections.abc import Iterator

import numpy as np

# Blocks and inner channels of stage 1, modules of stages 2 to 4, blocks a branch; as published for the HRNet family.
STRUCTURES = {
    "w18_small_v1": (1, 32, (1, 1, 1), 2),
    "w18_small_v2": (2, 64, (1, 3, 2), 2),
    "w18": (4, 64, (1, 4, 3), 4),
}


def random_state(preset: str, width: int, seed: int, *, bayesian: bool = False) -> dict[str, np.ndarray]:
    """Float32 tensors by name: He-scaled kernels, and batch norm statistics as after training."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}
    for name, inputs, outputs, kernel, bias in _convolutions(preset, width):
        std = np.sqrt(2.0 / (inputs * kernel * kernel))
        state[f"{name}.weight"] = rng.normal(0, std, (outputs, inputs, kernel, kernel))
        if bias:
            state[f"{name}.bias"] = rng.normal(0, 0.1, outputs)
    for name, channels in _norms(preset, width):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.0, channels)
        state[f"{name}.bias"] = rng.normal(0, 0.1, channels)
        state[f"{name}.running_mean"] = rng.normal(0, 0.1, channels)
        state[f"{name}.running_var"] = rng.uniform(0.7, 1.4, channels)
        state[f"{name}.num_batches_tracked"] = np.array(100)
    for branch in range(4) if bayesian else ():
        channels = width * 2**branch
        for leaf, shape in (("W", (channels, channels, 3, 3)), ("bias", (channels,))):
            state[f"bayesConv{branch + 1}.{leaf}_mu"] = rng.normal(0, 0.1, shape)
            state[f"bayesConv{branch + 1}.{leaf}_rho"] = rng.normal(-3, 0.1, shape)
    return {name: array.astype(np.float32 if array.ndim else np.int64) for name, array in state.items()}


Convolution = tuple[str, int, int, int, bool]


def _convolutions(preset: str, width: int) -> Iterator[Convolution]:
    """Name, inputs, outputs, kernel and whether there is a bias."""
    blocks, inner, modules, per_branch = STRUCTURES[preset]
    yield from (("conv1", 3, 64, 3, False), ("conv2", 64, 64, 3, False))
    yield from _stage1(blocks, inner)
    yield ("transition1.0.0", 4 * inner, width, 3, False)
    yield ("transition1.1.0.0", 4 * inner, 2 * width, 3, False)
    yield ("transition2.2.0.0", 2 * width, 4 * width, 3, False)
    yield ("transition3.3.0.0", 4 * width, 8 * width, 3, False)
    for stage, count in zip((2, 3, 4), modules, strict=True):
        for module in range(count):
            yield from _module(f"stage{stage}.{module}", [width * 2**branch for branch in range(stage)], per_branch)
    total = 15 * width
    yield from (("last_layer.0", total, total, 1, True), ("last_layer.3", total, 1, 1, True))
    yield from (("var_layer.conv1", 3, 64, 3, False), ("var_layer.conv2", 64, 64, 3, False))
    yield from (("var_layer.var_layer.0", 64, 64, 1, True), ("var_layer.var_layer.3", 64, 1, 1, True))


def _stage1(blocks: int, inner: int) -> Iterator[Convolution]:
    for block in range(blocks):
        inputs = 4 * inner if block else 64
        yield (f"layer1.{block}.conv1", inputs, inner, 1, False)
        yield (f"layer1.{block}.conv2", inner, inner, 3, False)
        yield (f"layer1.{block}.conv3", inner, 4 * inner, 1, False)
        if inputs != 4 * inner:
            yield (f"layer1.{block}.downsample.0", inputs, 4 * inner, 1, False)


def _module(name: str, channels: list[int], blocks: int) -> Iterator[Convolution]:
    for branch, count in enumerate(channels):
        for block in range(blocks):
            for unit in (1, 2):
                yield (f"{name}.branches.{branch}.{block}.conv{unit}", count, count, 3, False)
    for target, wanted in enumerate(channels):
        for source, count in enumerate(channels):
            path = f"{name}.fuse_layers.{target}.{source}"
            if source > target:
                yield (f"{path}.0", count, wanted, 1, False)
            for step in range(target - source):
                last = step == target - source - 1
                yield (f"{path}.{step}.0", count, wanted if last else count, 3, False)


def _norms(preset: str, width: int) -> Iterator[tuple[str, int]]:
    """Name and channels of the batch norm behind every convolution but the two output layers."""
    for name, _, outputs, _, _ in _convolutions(preset, width):
        head, _, last = name.rpartition(".")
        if name in ("last_layer.3", "var_layer.var_layer.3"):
            continue
        if last.startswith("conv"):
            yield (f"{head}.{last.replace('conv', 'bn')}".lstrip("."), outputs)
        else:
            yield (f"{head}.1", outputs)
