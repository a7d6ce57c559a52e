"""A network as the encoder and decoder that become ONNX files, and the noise between them. Needs no onnx."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float32, Key

from spotrust_jax.config import ModelConfig
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.random import fold_each
from spotrust_jax.sampling.passes import sample_keys


def half_names(member: int) -> tuple[str, str]:
    """Names of the two files of a member of the ensemble."""
    return f"features_{member}.onnx", f"decode_{member}.onnx"


def in_float32(segmenter: Segmenter) -> Segmenter:
    """The same model computing in float32, as its ONNX files do."""
    model = dataclasses.replace(segmenter.config.model, dtype="float32")
    return dataclasses.replace(segmenter, config=dataclasses.replace(segmenter.config, model=model))


def first_noise(
    model: ModelConfig, keys: Key[Array, "1"], height: int, width: int
) -> list[Float32[Array, "1 _height _width _channel"]]:
    """What the first pass of one network adds to its branches, times their standard deviations, or multiplies them by.

    Args:
        model: one whose noise is on the branches.
        keys: of the image, as `content_keys` gives them.
        height: of the image in pixels, a multiple of 32.
        width: likewise.
    """
    drawn = sample_keys(fold_each(keys, 0), 0)
    shape, noise = architecture(model.preset, width=model.width), variant_of(model).branch_noise()
    sizes = [(height // (4 << b), width // (4 << b), channels) for b, channels in enumerate(shape.branch_channels())]
    return [noise.draw(jnp.ones((1, *size)), drawn, branch) for branch, size in enumerate(sizes)]
