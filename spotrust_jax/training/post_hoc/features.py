"""What the last layer of a network sees of labelled photographs: one row for each cell of 4 x 4 pixels."""

import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Num
from tqdm import tqdm

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import default_analysis
from spotrust_jax.inference.preprocessing import fit_image
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.images import resize_label
from spotrust_jax.losses import bound_log_variance
from spotrust_jax.models.fast.folding import folded_network
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables, normalize
from spotrust_jax.models.variants.registry import variant_of

_CELL = 4


class Cells(NamedTuple):
    """Cells of several photographs.

    Attributes:
        inputs: activations, and a 1 for the bias.
        labels: share of each cell that is corrosion, in [0, 1].
        counts: cells of its photograph that each stands for, itself included.
        attenuation: factor of the cross-entropy in the attenuated loss, the mean of exp(-s) / 2 over the cell's pixels,
            s their bounded log variance.
    """

    inputs: Float32[np.ndarray, "cells inputs"]
    labels: Float32[np.ndarray, "cells"]
    counts: Float32[np.ndarray, "cells"]
    attenuation: Float32[np.ndarray, "cells"]


def cached_cells(segmenter: Segmenter, dataset: Dataset, most: int, seed: int = 0) -> Cells:
    """Cells of all photographs at the size that the network knows; of each photograph as many, `most` in all.

    Args:
        segmenter: a single deterministic network.
        dataset: photographs, best those that it was trained on.
        most: cells that are kept, drawn without replacement.
        seed: of the draw.

    Raises:
        InputError: for another kind of network.
    """
    require_deterministic(segmenter.config)
    analysis, generator = default_analysis(segmenter.config), np.random.default_rng(seed)
    each = max(1, most // len(dataset))
    parts = []
    for example in tqdm(dataset, desc="features", unit="photo", mininterval=1.0):
        shape = analysis.shape(*example.mask.shape)
        activations, attenuation = _activations(segmenter, fit_image(example.image, shape))
        mask, ignored = resize_label(example.mask, example.ignored, *shape)
        labels, known = _shares(mask), np.ones(mask.shape, bool) if ignored is None else ~ignored
        # Nothing is learnt from a cell of which a part is ignored.
        there = np.flatnonzero(_shares(known) == 1)
        kept = generator.permutation(there)[:each]
        counts = np.full(len(kept), len(there) / max(len(kept), 1), np.float32)
        parts.append(Cells(activations[kept], labels[kept], counts, attenuation[kept]))
    return Cells(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def require_deterministic(config: CheckpointConfig) -> None:
    """Raises an `InputError` unless the last layer can be fitted to the networks."""
    variant = variant_of(config.model)
    if variant.stochastic or variant.part_names or config.model.final_kernel != 1:
        raise InputError(
            f"the checkpoint has variant {config.model.variant} and final_kernel {config.model.final_kernel}: a last "
            f"layer is fitted to a deterministic network with final_kernel 1"
        )


def _activations(
    segmenter: Segmenter, image: np.ndarray
) -> tuple[Float32[np.ndarray, "cells inputs"], Float32[np.ndarray, "cells"]]:
    """Inputs of the last layer, and the attenuation of the loss."""
    variables = jax.tree.map(lambda leaf: leaf[0], segmenter.folded)
    found, attenuation = (
        np.asarray(part, np.float32)[0] for part in _compiled(segmenter.config)(variables, image[None])
    )
    rows = found.reshape(-1, found.shape[-1])
    return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1), _cell_means(attenuation)


@functools.lru_cache(maxsize=8)
def _compiled(config: CheckpointConfig):
    network = folded_network(config.model)

    def both(network: SegmenterNetwork, images: Float[Array, "batch height width 3"]):
        return network.last_layer_inputs(images), network.aleatoric(images, False)

    def inputs(
        variables: Variables, images: Num[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch h w channel"], Float[Array, "batch height width"]]:
        normal = normalize(images / 255.0, config.mean, config.std)
        activations, log_variance = cast(tuple[Array, Array], network.apply(variables, normal, method=both))
        s = bound_log_variance(log_variance, config.log_variance_bound, config.log_variance_bounding)
        return activations, jnp.exp(-s) / 2

    return jax.jit(inputs)


def _shares(mask: np.ndarray) -> Float32[np.ndarray, "cells"]:
    return _cell_means(mask.astype(np.float32))


def _cell_means(values: Float32[np.ndarray, "height width"]) -> Float32[np.ndarray, "cells"]:
    height, width = values.shape
    blocks = values.reshape(height // _CELL, _CELL, width // _CELL, _CELL)
    return blocks.mean(axis=(1, 3)).ravel()
