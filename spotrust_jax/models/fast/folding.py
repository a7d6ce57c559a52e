"""The network of inference: batch norm, which does nothing but scale and shift then, folded into the convolutions."""

from typing import Any

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.layers import EPSILON, Policy
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables, build_network

# What stands before a batch norm.
_CONVOLUTIONS = ("conv", "mix")


def folded_network(config: ModelConfig) -> SegmenterNetwork:
    """The network that takes variables as `fold_norms` gives them. Not for training."""
    return build_network(config, Policy(config.dtype, folded=True))


def fold_norms(variables: Variables) -> Variables:
    """The same network without batch norm: the kernels before it scaled, their biases scaled and shifted.

    Leaves may be arrays of numpy or of jax, with any leading axes that all of them share, such as members.
    """
    return {"params": _fold(variables["params"], variables["batch_stats"])}


def _fold(params: dict[str, Any], statistics: dict[str, Any]) -> dict[str, Any]:
    if "norm" in params:
        (name,) = [name for name in _CONVOLUTIONS if name in params]
        rest = {other: part for other, part in params.items() if other not in ("norm", name)}
        return {name: _folded(params[name], params["norm"], statistics["norm"]), **rest}
    return {
        name: _fold(part, statistics.get(name, {})) if isinstance(part, dict) else part for name, part in params.items()
    }


def _folded(convolution: dict[str, Any], norm: dict[str, Any], statistics: dict[str, Any]) -> dict[str, Any]:
    multiplier = norm["scale"] * (statistics["var"] + EPSILON) ** -0.5
    bias = (convolution.get("bias", 0.0) - statistics["mean"]) * multiplier + norm["bias"]
    return {"kernel": convolution["kernel"] * multiplier[..., None, None, None, :], "bias": bias}
