"""HRNetV2 in PyTorch as a second truth for the tests: functions of a state dict with the released names.

Independent of the project's network: the structure is read off the names, layouts are PyTorch's NCHW. Noise is absent:
dropout is switched off and variational weights stand at their mean. Import it only where torch is known to be there.
"""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]

# On small images, threads cost more than they bring, and jax has threads of its own.
torch.set_num_threads(1)


def double(state: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The state in float64, by names without the prefix of released files."""
    return {name.removeprefix("module."): torch.as_tensor(array).double() for name, array in state.items()}


def evaluate(state: State, images: np.ndarray, *, bicubic: bool) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The four branches [B, H, W, C], the logit and the log variance [B, H, W] of images [B, H, W, 3].

    Computed in the state's own precision.
    """
    x = torch.as_tensor(images, dtype=state["conv1.weight"].dtype).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        branches = backbone(state, x)
        logit, log_variance = head(state, branches, x.shape[2:], bicubic), aleatoric(state, x)
    return [y.permute(0, 2, 3, 1).numpy() for y in branches], logit[:, 0].numpy(), log_variance[:, 0].numpy()


def backbone(state: State, x: Tensor) -> list[Tensor]:
    """Stem and four stages."""
    x = stem(state, "", x)
    for block in range(count(state, "layer1.")):
        x = bottleneck(state, f"layer1.{block}.", x)
    branches = [x]
    for stage in (2, 3, 4):
        branches = transition(state, f"transition{stage - 1}.", branches, stage)
        for module in range(count(state, f"stage{stage}.")):
            branches = exchange_module(state, f"stage{stage}.{module}.", branches)
    return branches


def head(state: State, branches: list[Tensor], size: torch.Size, bicubic: bool) -> Tensor:
    """Concatenation at a quarter of the size, two convolutions, and upsampling."""
    if "bayesConv1.W_mu" in state:
        branches = [
            functional.conv2d(x, state[f"bayesConv{b}.W_mu"], state[f"bayesConv{b}.bias_mu"], padding=1)
            for b, x in enumerate(branches, start=1)
        ]
    mode = "bicubic" if bicubic else "bilinear"
    x = torch.cat([branches[0], *(upsample(y, branches[0].shape[2:], mode) for y in branches[1:])], 1)
    x = norm(state, "last_layer.1", convolve(state, "last_layer.0", x)).relu()
    return upsample(convolve(state, "last_layer.3", x), size, mode)


def aleatoric(state: State, x: Tensor) -> Tensor:
    """The small network of its own for the log variance."""
    y = stem(state, "var_layer.", x)
    y = norm(state, "var_layer.var_layer.1", convolve(state, "var_layer.var_layer.0", y)).relu()
    return upsample(convolve(state, "var_layer.var_layer.3", y), x.shape[2:], "bilinear")


def stem(state: State, prefix: str, x: Tensor) -> Tensor:
    """Two convolutions of stride two."""
    for unit in (1, 2):
        x = norm(state, f"{prefix}bn{unit}", convolve(state, f"{prefix}conv{unit}", x, stride=2)).relu()
    return x


def bottleneck(state: State, prefix: str, x: Tensor) -> Tensor:
    """Residual block of three convolutions."""
    y = norm(state, f"{prefix}bn1", convolve(state, f"{prefix}conv1", x)).relu()
    y = norm(state, f"{prefix}bn2", convolve(state, f"{prefix}conv2", y)).relu()
    y = norm(state, f"{prefix}bn3", convolve(state, f"{prefix}conv3", y))
    if f"{prefix}downsample.0.weight" in state:
        x = norm(state, f"{prefix}downsample.1", convolve(state, f"{prefix}downsample.0", x))
    return (y + x).relu()


def transition(state: State, prefix: str, branches: list[Tensor], wanted: int) -> list[Tensor]:
    """Changes channels where the state has weights for it, and opens branch number `wanted - 1`."""
    out = []
    for branch, x in enumerate(branches):
        name = f"{prefix}{branch}."
        known = f"{name}0.weight" in state
        out.append(norm(state, f"{name}1", convolve(state, f"{name}0", x)).relu() if known else x)
    name = f"{prefix}{wanted - 1}.0."
    out.append(norm(state, f"{name}1", convolve(state, f"{name}0", branches[-1], stride=2)).relu())
    return out


def exchange_module(state: State, prefix: str, branches: list[Tensor]) -> list[Tensor]:
    """Basic blocks on every branch, then every branch into every other."""
    branches = list(branches)
    for branch in range(len(branches)):
        for block in range(count(state, f"{prefix}branches.{branch}.")):
            name, x = f"{prefix}branches.{branch}.{block}.", branches[branch]
            y = norm(state, f"{name}bn1", convolve(state, f"{name}conv1", x)).relu()
            branches[branch] = (norm(state, f"{name}bn2", convolve(state, f"{name}conv2", y)) + x).relu()
    return [fuse(state, f"{prefix}fuse_layers.{target}.", branches, target) for target in range(len(branches))]


def fuse(state: State, prefix: str, branches: list[Tensor], target: int) -> Tensor:
    """Sum of all branches at the size and channels of one of them."""
    size, total = branches[target].shape[2:], torch.zeros_like(branches[target])
    for source, x in enumerate(branches):
        name = f"{prefix}{source}."
        if source > target:
            total = total + upsample(norm(state, f"{name}1", convolve(state, f"{name}0", x)), size, "bilinear")
        else:
            total = total + coarsen(state, name, x, target - source)
    return total.relu()


def coarsen(state: State, prefix: str, x: Tensor, steps: int) -> Tensor:
    """Chain of convolutions of stride two, with ReLU between them."""
    for step in range(steps):
        x = norm(state, f"{prefix}{step}.1", convolve(state, f"{prefix}{step}.0", x, stride=2))
        x = x.relu() if step < steps - 1 else x
    return x


def convolve(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution padded by half its kernel."""
    weight = state[f"{name}.weight"]
    return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride=stride, padding=weight.shape[-1] // 2)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    """Batch norm by the running statistics."""
    statistics = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(x, *statistics, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def upsample(x: Tensor, size: torch.Size, mode: str) -> Tensor:
    """Interpolation with half-pixel centres."""
    return functional.interpolate(x, size=tuple(size), mode=mode, align_corners=False)


def count(state: State, prefix: str) -> int:
    """How many numbered modules stand under a prefix."""
    return len({match[1] for name in state if (match := re.match(re.escape(prefix) + r"(\d+)\.", name))})
