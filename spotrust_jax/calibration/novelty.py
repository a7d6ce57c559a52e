"""Novelty: how far a photograph, and each of its parts, is from those that a model was trained on, by its features.

Features are those that all samples share, so nothing here is random, and nothing of it is the epistemic uncertainty,
which says where plausible models disagree: they can agree on what none of them knows. A photograph is judged by the
mean of its features over space, which separates better than any mean or quantile of local distances
(docs/novelty.md). Distances are Mahalanobis distances with a shrunk covariance (Lee et al. 2018); of photographs
to the nearest one in training (Sun et al. 2022), of cells to the mean.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from spotrust_jax.calibration.conformal import group_quantile, needed_groups
from spotrust_jax.errors import InputError

SHARE = 0.05
"""Share of known photographs that is to be called novel."""

FARTHEST = 10.0
"""Local novelty beyond which maps distinguish none."""

# Standard deviations of channels are taken for no less than this share of their mean: dead channels have none.
_FLOOR = 0.01

# Distances are computed for so many cells at a time.
_CELLS = 4096


@dataclasses.dataclass(frozen=True)
class NoveltyCalibration:
    """What a model's configuration says of its novelty.

    Attributes:
        file: beside the configuration, with the arrays of `KnownFeatures`; empty where the model has no novelty.
        share: of photographs like those in training that are called novel.
        photographs: in training, which a photograph is compared with.
        groups: of photographs that the limit was chosen on.
    """

    file: str = ""
    share: float = SHARE
    photographs: int = 0
    groups: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"the share of novelty is {self.share}: give one between 0 and 1")


class Novelty(NamedTuple):
    """Of one photograph.

    Attributes:
        score: distance of its features from the nearest photograph in training, in units of the limit.
        novel: whether that is above 1, so that the model's answer is not to be relied on.
    """

    score: float
    novel: bool


class Whitening(NamedTuple):
    """What makes features uncorrelated, with variance one: (x - mean) @ matrix."""

    mean: Float32[np.ndarray, "channels"]
    matrix: Float32[np.ndarray, "channels channels"]

    def __call__(self, features: Float[np.ndarray, "*shape channels"]) -> Float32[np.ndarray, "*shape channels"]:
        """Whitened features; their length is the Mahalanobis distance."""
        if features.shape[-1] != len(self.mean):
            has = f"{features.shape[-1]} features and its novelty {len(self.mean)}"
            raise InputError(f"the network has {has}: fit novelty to this model again")
        return ((features - self.mean) @ self.matrix).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class KnownFeatures:
    """Features of the photographs that a model was trained on.

    Attributes:
        photographs: whitening of means over photographs.
        known: those means, whitened.
        cells: whitening of single cells.
        limit, cell_limit: distances, of photographs and of cells, that are reached by the share of known ones.
    """

    photographs: Whitening
    known: Float32[np.ndarray, "photographs channels"]
    cells: Whitening
    limit: float = 1.0
    cell_limit: float = 1.0

    def novelty(self, pooled: Float[np.ndarray, "channels"]) -> Novelty:
        """Of a photograph, from the mean of its features."""
        score = float(self.photograph_distances(pooled[None])[0]) / self.limit
        return Novelty(score, score > 1.0)

    def photograph_distances(
        self, pooled: Float[np.ndarray, "photographs channels"]
    ) -> Float64[np.ndarray, "photographs"]:
        """Distance of each photograph from the nearest known one."""
        white = self.photographs(pooled).astype(np.float64)
        known = self.known.astype(np.float64)
        return np.array([np.sqrt(((known - one) ** 2).sum(axis=1).min()) for one in white])

    def cell_distances(self, cells: Float[np.ndarray, "*shape channels"]) -> Float32[np.ndarray, "*shape"]:
        """Mahalanobis distance of each cell in units of the limit of cells: above 1 where few known ones are."""
        flat = cells.reshape(-1, cells.shape[-1])
        parts = [self.cells(flat[start : start + _CELLS]) for start in range(0, len(flat), _CELLS)]
        found = np.concatenate([np.sqrt((part**2).sum(axis=1)) for part in parts]) / np.float32(self.cell_limit)
        return found.reshape(cells.shape[:-1]).astype(np.float32)

    def tensors(self) -> dict[str, np.ndarray]:
        """As arrays by name, in half precision but for means and limits."""
        return {
            "photographs/mean": self.photographs.mean,
            "photographs/matrix": self.photographs.matrix.astype(np.float16),
            "known": self.known.astype(np.float16),
            "cells/mean": self.cells.mean,
            "cells/matrix": self.cells.matrix.astype(np.float16),
            "limits": np.array([self.limit, self.cell_limit], np.float64),
        }


def from_tensors(tensors: dict[str, np.ndarray]) -> KnownFeatures:
    """The reverse of `KnownFeatures.tensors`.

    Raises:
        InputError: where an array is missing, of another shape or not finite.
    """
    channels = np.size(tensors.get("photographs/mean", ()))
    photographs = len(np.atleast_1d(tensors.get("known", ())))
    shapes = {
        "photographs/mean": (channels,),
        "photographs/matrix": (channels, channels),
        "known": (photographs, channels),
        "cells/mean": (channels,),
        "cells/matrix": (channels, channels),
        "limits": (2,),
    }
    for name, shape in shapes.items():
        if name not in tensors or tensors[name].shape != shape or 0 in shape:
            raise InputError(f"the array {name} is missing or has another shape than {list(shape)}")
        if not np.isfinite(tensors[name].astype(np.float64)).all():
            raise InputError(f"the array {name} has values that are not finite")
    single = {name: tensors[name].astype(np.float32) for name in shapes}
    limits = tensors["limits"].astype(np.float64)
    if not (limits > 0).all():
        raise InputError("the limits are not positive")
    return KnownFeatures(
        Whitening(single["photographs/mean"], single["photographs/matrix"]),
        single["known"],
        Whitening(single["cells/mean"], single["cells/matrix"]),
        float(limits[0]),
        float(limits[1]),
    )


class FeatureSet(NamedTuple):
    """Features of photographs.

    Attributes:
        pooled: their means over each photograph.
        cells: some cells of each photograph.
        groups: what each photograph belongs to, such as a structure.
    """

    pooled: Float32[np.ndarray, "photographs channels"]
    cells: Float32[np.ndarray, "photographs cells channels"]
    groups: tuple[str, ...]


def fit_known_features(training: FeatureSet, held_out: FeatureSet, share: float = SHARE) -> KnownFeatures:
    """From photographs that the model was trained on, and limits from such that it was not.

    At most a share of new photographs, and of new cells, exceeds the limits in expectation, over the draw of groups:
    `group_quantile`.

    Raises:
        InputError: where there are fewer than two photographs in training, too few held-out groups for the share, or
            features that vary too little for half precision.
    """
    if len(training.pooled) < 2:
        raise InputError(f"novelty is fitted to {len(training.pooled)} photographs: give two or more of the training")
    groups = len(set(held_out.groups))
    if groups < needed_groups(share):
        raise InputError(
            f"the held-out photographs are of {groups} groups, and a limit that {share:.0%} of new ones exceed needs "
            f"{needed_groups(share)}: give photographs of more structures"
        )
    whitening = fit_whitening(training.pooled)
    unlimited = KnownFeatures(
        whitening,
        _half(whitening(training.pooled)),
        fit_whitening(training.cells.reshape(-1, training.cells.shape[-1])),
    )
    cells = unlimited.cell_distances(held_out.cells).astype(np.float64)
    repeated = np.repeat(held_out.groups, cells.shape[1]).tolist()
    return dataclasses.replace(
        unlimited,
        limit=group_quantile(unlimited.photograph_distances(held_out.pooled), held_out.groups, 1 - share),
        cell_limit=group_quantile(cells.ravel(), repeated, 1 - share),
    )


def fit_whitening(features: Float[np.ndarray, "samples channels"]) -> Whitening:
    """By the shrunk covariance of standardised features, rounded to what is stored of it."""
    x = features.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    std = np.maximum(std, _FLOOR * max(float(std.mean()), 1e-6))
    values, vectors = np.linalg.eigh(shrunk_covariance((x - mean) / std))
    return Whitening(mean.astype(np.float32), _half(vectors / np.sqrt(values) / std[:, None]))


def shrunk_covariance(centred: Float64[np.ndarray, "samples channels"]) -> Float64[np.ndarray, "channels channels"]:
    """Of features whose mean is 0, shrunk towards a multiple of the identity. Ledoit and Wolf 2004, section 3.3."""
    samples, channels = centred.shape
    covariance = centred.T @ centred / samples
    scale = np.trace(covariance) / channels
    distance = ((covariance - scale * np.eye(channels)) ** 2).sum()
    error = (((centred**2).sum(axis=1) ** 2).sum() / samples - (covariance**2).sum()) / samples
    shrinkage = min(error / distance, 1.0) if distance > 0 else 1.0
    # Features that are all the same have no covariance at all.
    return (1 - shrinkage) * covariance + max(shrinkage * scale, 1e-6) * np.eye(channels)


def _half(values: np.ndarray) -> Float32[np.ndarray, "..."]:
    """Rounded to half precision, which keeps them apart from what a file gives back by nothing."""
    if np.abs(values).max() > np.finfo(np.float16).max:
        raise InputError("the network's features hardly vary, and novelty needs some that do: train the model longer")
    return values.astype(np.float16).astype(np.float32)
