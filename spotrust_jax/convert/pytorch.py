"""PyTorch and safetensors weights of HRNet and of the paper's released models, as variables of this project's networks.

Matches names and shapes and reports every tensor; io/weight_files.py reads the files.
"""

import functools
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.io.weight_files import read_state
from spotrust_jax.models.segmenter import Variables, initial_variables, variable_shapes
from spotrust_jax.models.variants.variant import part_of

# A path in our tree, without its leaf, and the PyTorch module it corresponds to. The released names are those of the
# HRNet code: https://github.com/HRNet/HRNet-Semantic-Segmentation.
_MODULES = (
    (r"backbone/stem/unit(\d)/conv", r"conv\1"),
    (r"backbone/stem/unit(\d)/norm", r"bn\1"),
    (r"backbone/stage1_block(\d+)/unit(\d)/conv", r"layer1.\1.conv\2"),
    (r"backbone/stage1_block(\d+)/unit(\d)/norm", r"layer1.\1.bn\2"),
    (r"backbone/stage1_block(\d+)/projection/conv", r"layer1.\1.downsample.0"),
    (r"backbone/stage1_block(\d+)/projection/norm", r"layer1.\1.downsample.1"),
    (r"backbone/(stage\d)_module(\d+)/branch(\d)_block(\d+)/unit(\d)/conv", r"\1.\2.branches.\3.\4.conv\5"),
    (r"backbone/(stage\d)_module(\d+)/branch(\d)_block(\d+)/unit(\d)/norm", r"\1.\2.branches.\3.\4.bn\5"),
    (r"backbone/(stage\d)_module(\d+)/exchange/from(\d)_to(\d)/conv", r"\1.\2.fuse_layers.\4.\3.0"),
    (r"backbone/(stage\d)_module(\d+)/exchange/from(\d)_to(\d)/norm", r"\1.\2.fuse_layers.\4.\3.1"),
    (r"backbone/(stage\d)_module(\d+)/exchange/from(\d)_to(\d)_step(\d)/conv", r"\1.\2.fuse_layers.\4.\3.\5.0"),
    (r"backbone/(stage\d)_module(\d+)/exchange/from(\d)_to(\d)_step(\d)/norm", r"\1.\2.fuse_layers.\4.\3.\5.1"),
    # The branch that a transition opens is wrapped once more than those it only adapts.
    (r"backbone/transition2/branch1/conv", r"transition1.1.0.0"),
    (r"backbone/transition2/branch1/norm", r"transition1.1.0.1"),
    (r"backbone/transition3/branch2/conv", r"transition2.2.0.0"),
    (r"backbone/transition3/branch2/norm", r"transition2.2.0.1"),
    (r"backbone/transition4/branch3/conv", r"transition3.3.0.0"),
    (r"backbone/transition4/branch3/norm", r"transition3.3.0.1"),
    (r"backbone/transition2/branch0/conv", r"transition1.0.0"),
    (r"backbone/transition2/branch0/norm", r"transition1.0.1"),
    (r"head/mix", r"last_layer.0"),
    (r"head/norm", r"last_layer.1"),
    (r"head/logit", r"last_layer.3"),
    (r"aleatoric/stem/unit(\d)/conv", r"var_layer.conv\1"),
    (r"aleatoric/stem/unit(\d)/norm", r"var_layer.bn\1"),
    (r"aleatoric/unit/conv", r"var_layer.var_layer.0"),
    (r"aleatoric/unit/norm", r"var_layer.var_layer.1"),
    (r"aleatoric/log_variance", r"var_layer.var_layer.3"),
    # bayesConv counts from one; _torch_name adds it.
    (r"bayesian_(\d)", r"bayesConv\1"),
)
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel_mean": "W_mu",
    "kernel_rho": "W_rho",
    "bias_mean": "bias_mu",
    "bias_rho": "bias_rho",
}
_PREFIXES = ("module.", "model.")
# What ImageNet classification checkpoints have and segmentation has no use for, and batch norm's step counter.
_UNUSED = re.compile(r"^(incre_modules|downsamp_modules|final_layer|classifier)\.|num_batches_tracked$")
# Parts of the network that may be left at their initial value, by the top of our tree.
ALLOWABLE = ("head", "bayesian", "aleatoric")


class Account(NamedTuple):
    """What became of every tensor, by its name in the file.

    Attributes:
        matched: filled from the file.
        missing: needed by the network and absent from the file.
        reshaped: of another shape in the file than in the network.
        unexpected: in the file and unknown to the network.
        unused: in the file and known to be of no use here.
    """

    matched: list[str]
    missing: list[str]
    reshaped: list[str]
    unexpected: list[str]
    unused: list[str]

    def summary(self) -> str:
        """One line of counts."""
        return (
            f"{len(self.matched)} tensors matched, {len(self.missing)} missing, {len(self.reshaped)} of another shape, "
            f"{len(self.unexpected)} unexpected, {len(self.unused)} without use here"
        )


class Conversion(NamedTuple):
    """Variables of one network, `params` and `batch_stats`, the account of every tensor, and parts not filled by it."""

    variables: Variables
    account: Account
    untrained: tuple[str, ...]


def convert_files(
    paths: Sequence[str | os.PathLike],
    config: ModelConfig,
    key: Key[Array, ""],
    *,
    allow_missing: Collection[str] = (),
    report: Callable[[str], None],
) -> tuple[Variables, tuple[str, ...]]:
    """Variables [members, ...] from one file for each member, in their order, and the parts left at random values.

    Args:
        paths: PyTorch or safetensors files.
        config: the network of every member.
        key: draws what `allow_missing` leaves at its initial value, differently for each member.
        allow_missing: parts that may stay at their initial value, out of `ALLOWABLE`.
        report: takes one line for each file as soon as it is converted.

    Raises:
        InputError: for a file that cannot be read or does not fill the network.
    """
    members, untrained = [], set()
    for member, path in enumerate(paths):
        tensors, ignored = read_state(path)
        member_key = jax.random.fold_in(key, member)
        conversion = convert_state(tensors, config, member_key, allow_missing=allow_missing, name=str(path))
        names = _listing("unexpected", conversion.account.unexpected) + _listing("ignored", ignored)
        report(f"{path}: {conversion.account.summary()}{names}")
        members.append(conversion.variables)
        untrained.update(conversion.untrained)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *members), tuple(sorted(untrained))


def convert_state(
    state: Mapping[str, np.ndarray],
    config: ModelConfig,
    key: Key[Array, ""],
    *,
    allow_missing: Collection[str] = (),
    name: str = "weights",
) -> Conversion:
    """Fills the network of `config` from a PyTorch state dict.

    Args:
        state: tensors by name, with or without the prefixes `module.` and `model.`.
        config: the network to fill.
        key: draws what `allow_missing` leaves at its initial value.
        allow_missing: parts that may stay at their initial value, out of `ALLOWABLE`.
        name: what errors call the file.

    Raises:
        InputError: where a tensor that the network needs is absent or of another shape, outside `allow_missing`.
    """
    _check_parts(allow_missing)
    state = {_strip(tensor_name): tensor for tensor_name, tensor in state.items()}
    account, unfilled, untrained = Account([], [], [], [], []), [], set()

    def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray | jax.ShapeDtypeStruct:
        torch_name, part = _torch_name(path)
        if torch_name not in state:
            account.missing.append(torch_name)
        elif (tensor := _to_flax(state[torch_name])).shape != leaf.shape:
            account.reshaped.append(torch_name)
        else:
            account.matched.append(torch_name)
            return tensor
        if part not in allow_missing:
            wrong = f"has shape {tensor.shape}, not {leaf.shape}" if torch_name in state else "is missing"
            unfilled.append(f"{torch_name} {wrong}")
        untrained.add(part)
        return leaf

    variables = jax.tree_util.tree_map_with_path(fill, _shapes(config))
    for rest in sorted(state.keys() - set(account.matched + account.missing + account.reshaped)):
        (account.unused if _UNUSED.search(rest) else account.unexpected).append(rest)
    _check(account, unfilled, name)
    return Conversion(_with_initial(variables, config, key), account, tuple(sorted(untrained)))


@functools.lru_cache(maxsize=4)
def _shapes(config: ModelConfig) -> Variables:
    """Tracing the network takes seconds, and the files of an ensemble share it."""
    return variable_shapes(config)


def _with_initial(variables: Variables, config: ModelConfig, key: Key[Array, ""]) -> Variables:
    """Draws the leaves that are still shapes."""
    leaves, structure = jax.tree.flatten(variables)
    unfilled = [index for index, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)]
    if not unfilled:
        return variables
    drawn = jax.tree.leaves(initial_variables(config, key))
    for index in unfilled:
        leaves[index] = drawn[index]
    return jax.tree.unflatten(structure, leaves)


def _check_parts(allow_missing: Collection[str]) -> None:
    for part in allow_missing:
        if part not in ALLOWABLE:
            raise InputError(f"--allow_missing={part} is no part of the network: choose among {', '.join(ALLOWABLE)}")


def _check(account: Account, unfilled: list[str], name: str) -> None:
    """Raises where the file does not fill the network, or belongs to another variant."""
    if any(tensor_name.startswith("bayesConv") for tensor_name in account.unexpected):
        raise InputError(
            f"{name} has variational layers (bayesConv) and the network has none: give the reference config that "
            f"belongs to it, or --variant=variational"
        )
    if unfilled:
        raise InputError(
            f"{name} does not fill the network ({account.summary()}; first without a value: {unfilled[0]}): give the "
            f"reference config that belongs to it, or name what may stay at its initial value, "
            f"--allow_missing={','.join(ALLOWABLE)}"
        )


def _listing(what: str, names: list[str]) -> str:
    """The first few names, as the end of a line."""
    more = ", ..." if len(names) > 4 else ""
    return f"; {what}: {', '.join(names[:4])}{more}" if names else ""


def _strip(name: str) -> str:
    """Name without the prefixes that wrappers leave."""
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    return name


def _torch_name(path: tuple) -> tuple[str, str]:
    """PyTorch name of a leaf, and the part of our tree it belongs to."""
    _, *modules, leaf = (entry.key for entry in path)
    module = "/".join(modules)
    part = part_of(modules[0])
    for pattern, replacement in _MODULES:
        match = re.fullmatch(pattern, module)
        if match:
            torch_module = match.expand(replacement)
            break
    if part == "bayesian":
        torch_module = f"bayesConv{int(torch_module[-1]) + 1}"
    return f"{torch_module}.{_LEAVES[leaf]}", part


def _to_flax(tensor: np.ndarray) -> np.ndarray:
    """Convolution kernels from [out, in, height, width] to [height, width, in, out]; all else as it is."""
    tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor
    return np.ascontiguousarray(tensor, np.float32)
