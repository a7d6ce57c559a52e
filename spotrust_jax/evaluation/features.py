"""Features of all photographs of a data set, by which novelty is fitted."""

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8
from tqdm import tqdm

from spotrust_jax.calibration.novelty import FeatureSet
from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import fit_image
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.models.fast.folding import folded_network
from spotrust_jax.models.segmenter import Variables, normalize
from spotrust_jax.models.variants.variant import Features
from spotrust_jax.sampling.passes import feature_cells

# Cells that are kept of each photograph: neighbours say much the same.
_CELLS = 64


def feature_set(segmenter: Segmenter, dataset: Dataset, analysis: Analysis) -> FeatureSet:
    """The first member's features of every photograph at the size of the analysis, each in one piece."""
    generator, pooled, kept, groups = np.random.default_rng(0), [], [], []
    for example in tqdm(dataset, desc="features", unit="photo", mininterval=1.0):
        cells = photograph_features(segmenter, example.image, analysis)
        pooled.append(cells.mean(axis=0, dtype=np.float64))
        kept.append(cells[generator.choice(len(cells), _CELLS, replace=len(cells) < _CELLS)])
        groups.append(example.group)
    return FeatureSet(np.stack(pooled).astype(np.float32), np.stack(kept), tuple(groups))


def photograph_features(
    segmenter: Segmenter, image: UInt8[np.ndarray, "height width 3"], analysis: Analysis
) -> Float32[np.ndarray, "cells channels"]:
    """The first member's features in each cell of a photograph."""
    sized = fit_image(image, analysis.shape(*image.shape[:2]))
    first = jax.tree.map(lambda leaf: leaf[0], segmenter.folded)
    cells = np.asarray(_compiled_features(segmenter.config)(first, sized[None]))
    return cells.reshape(-1, cells.shape[-1])


@functools.lru_cache(maxsize=8)
def _compiled_features(config: CheckpointConfig) -> Callable[..., Float[Array, "1 rows columns channels"]]:
    network = folded_network(config.model)

    def features(variables: Variables, images: UInt8[Array, "1 height width 3"]) -> Float[Array, "..."]:
        normal = normalize(images.astype(jnp.float32) / 255.0, config.mean, config.std)
        return feature_cells(cast(Features, network.apply(variables, normal, method="features")))

    return jax.jit(features)
