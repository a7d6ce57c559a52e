"""A detector on photographs, once: the pixels of each photograph counted by probability, from which all scores follow.

Thresholds, calibrations and intervals are in scores.py; nothing there predicts again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from scipy.special import logit
from tqdm import tqdm

from spotrust_jax.inference.analysis import Analysis, predict_photograph
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.atomic_files import atomic_file

EDGES = np.linspace(-12.0, 12.0, 2401)
"""Of the bins, in logits of the raw probability; what lies beyond counts in the outer bins."""


class Photograph(NamedTuple):
    """What is measured on: `mask` is false throughout where nothing is corroded."""

    name: str
    group: str
    site: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]


class Measured(NamedTuple):
    """Photographs with their pixels counted by raw probability.

    Attributes:
        names, groups, sites: of the photographs.
        background, corrosion: pixels of each photograph in each bin, by their label.
        epistemic: mean epistemic standard deviation of each photograph.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    sites: tuple[str, ...]
    background: Float64[np.ndarray, "photographs bins"]
    corrosion: Float64[np.ndarray, "photographs bins"]
    epistemic: Float64[np.ndarray, "photographs"]

    def chosen(self, which: Bool[np.ndarray, "photographs"]) -> "Measured":
        """Some of the photographs."""
        names, groups, sites = (tuple(np.asarray(column)[which].tolist()) for column in self[:3])
        return Measured(names, groups, sites, *(column[which] for column in self[3:]))


def measure(segmenter: Segmenter, photographs: Sequence[Photograph], scale: int) -> Measured:
    """Every photograph predicted at a long side of `scale` pixels, its maps brought to its own size."""
    raw, analysis, rows = segmenter.uncalibrated, Analysis(scale, num_samples=1), []
    for one in tqdm(photographs, unit="photo", mininterval=5.0):
        prediction = predict_photograph(raw, one.image, analysis)
        rows.append((*counts(prediction.probability, one.mask), prediction.epistemic.mean(dtype=np.float64)))
    columns = (np.stack(column) for column in zip(*rows, strict=True))
    names, groups, sites = (tuple(getattr(one, field) for one in photographs) for field in ("name", "group", "site"))
    return Measured(names, groups, sites, *columns)


def save(measured: Measured, path: Path) -> None:
    """As a compressed numpy file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **measured._asdict())


def load(path: Path) -> Measured:
    """The reverse of `save`."""
    with np.load(path) as file:
        names, groups, sites = (tuple(file[name].tolist()) for name in Measured._fields[:3])
        return Measured(names, groups, sites, *(file[name] for name in Measured._fields[3:]))


def counts(
    probability: Float32[np.ndarray, "height width"], mask: Bool[np.ndarray, "height width"]
) -> Iterator[Float64[np.ndarray, "bins"]]:
    """Pixels of a photograph in each bin: background, then corrosion."""
    p = np.clip(probability.ravel().astype(np.float64), 1e-9, 1 - 1e-9)
    place = np.clip(np.digitize(logit(p), EDGES) - 1, 0, len(EDGES) - 2)
    for label in (~mask.ravel(), mask.ravel()):
        yield np.bincount(place, label, minlength=len(EDGES) - 1)
