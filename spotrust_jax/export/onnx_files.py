"""Encoder and decoder of each member as ONNX files: images to features, branches to logits. Needs the extra `onnx`."""

import functools
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import onnx
from jaxtyping import Array, Float, UInt8

from spotrust_jax.export.encoder_decoder import half_names, in_float32
from spotrust_jax.export.onnx_graph import onnx_model
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.losses import bound_log_variance
from spotrust_jax.models.fast.folding import folded_network
from spotrust_jax.models.segmenter import normalize
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.models.variants.variant import Features

# The side of the image that the graphs are traced with; they take others.
_SIDE = 64


def require_convertible(segmenter: Segmenter) -> None:
    """Raises an `InputError` for a model whose noise is not on the branches."""
    variant_of(segmenter.config.model).branch_noise()


def write_onnx(segmenter: Segmenter, folder: Path) -> list[str]:
    """Writes the files of all members, computing in float32, and gives their names."""
    names = []
    for index in range(segmenter.config.members):
        features, decode = _graphs(in_float32(segmenter.member(index)))
        for name, model in zip(half_names(index), (features, decode), strict=True):
            onnx.save(model, folder / name)
            names.append(name)
    return names


def _graphs(member: Segmenter) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    config = member.config
    network = folded_network(config.model)
    apply = functools.partial(network.apply, jax.tree.map(lambda leaf: leaf[0], member.folded))

    def features(inputs: dict[str, UInt8[Array, "batch height width 3"]]) -> dict[str, Float[Array, "..."]]:
        normal = normalize(inputs["images"] / 255.0, config.mean, config.std)
        found = cast(Features, apply(normal, method="features"))
        log_variance = bound_log_variance(found.log_variance, config.log_variance_bound, config.log_variance_bounding)
        branches = {f"branch_{index}": x for index, x in enumerate(found.branches)}
        stds = {f"std_{index}": x for index, x in enumerate(found.stds)}
        return {**branches, **stds, "log_variance": log_variance}

    def decode(inputs: dict[str, Float[Array, "batch _height _width _channel"]]) -> dict[str, Float[Array, "..."]]:
        branches = tuple(inputs[name] for name in sorted(inputs))
        # Of the log variance only the size is used.
        features = Features(branches, (), jnp.zeros((1, _SIDE, _SIDE)))
        return {"logits": cast(Array, apply(features, method="decode"))}

    images = {"images": jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.uint8)}
    shapes = jax.eval_shape(features, images)
    branches = {name: shape for name, shape in shapes.items() if name.startswith("branch")}
    interpolation = variant_of(config.model).interpolation
    return onnx_model(features, images, "bilinear"), onnx_model(decode, branches, interpolation)
