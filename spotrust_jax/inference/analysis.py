"""One photograph of any size through a segmenter at the scale it was trained at, whole or in tiles.

The maps here have the size of the analysis; the writers in outputs/ bring them to the photograph's, part by part.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Bool, Float32, Key, UInt8

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.data.sizes import inference_shape
from spotrust_jax.errors import InputError
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.preprocessing import fit_image, restore_map
from spotrust_jax.inference.test_time_augmentation import AUGMENTATIONS, combine
from spotrust_jax.inference.tiling import Allocate, Tile, TileBlend, Tiling, crop, in_memory, plan_tiles
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.random import content_keys
from spotrust_jax.sampling.passes import AreaCount

TILE_SIZE = 1024
"""Longest side, in pixels, that is analysed in one piece by default."""

# A photograph this many times larger than the scale of analysis loses detail that a user may not expect to lose.
_MUCH_LARGER = 2


@runtime_checkable
class PartPredictor(Protocol):
    """What an analysis needs of a model; `Segmenter` is one."""

    @property
    def config(self) -> CheckpointConfig:
        """Of the model."""
        ...

    def predict_part(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        photograph: Key[Array, ""],
        tile: int,
        num_samples: int,
        decomposed: bool = False,
        area: AreaCount | None = None,
    ) -> Prediction:
        """Raw maps of a part of a photograph, as `Segmenter.predict_part` describes them."""
        ...


@dataclasses.dataclass(frozen=True)
class Analysis:
    """How photographs are analysed.

    Attributes:
        scale: long side in pixels that photographs are resized to, or None for their own size.
        num_samples: stochastic passes of each member.
        seed: of all noise.
        tile_size: longest side, a multiple of 32, of what the network sees at once; what is larger is tiled.
        overlap: pixels that neighbouring tiles share, a multiple of 32, at most half a tile.
        augment: whether there is test-time augmentation, by all of `AUGMENTATIONS`.
        decomposed: whether entropy, mutual information and variance within passes are wanted too.
    """

    scale: int | None
    num_samples: int = 24
    seed: int = 0
    tile_size: int = TILE_SIZE
    overlap: int = 128
    augment: bool = False
    decomposed: bool = False

    def __post_init__(self) -> None:
        if self.tile_size < 2 * COARSEST_CELL or self.tile_size % COARSEST_CELL:
            remedy = f"give a multiple of {COARSEST_CELL} from {2 * COARSEST_CELL} up"
            raise InputError(f"tile_size is {self.tile_size}: {remedy}")
        if not 0 < 2 * self.overlap <= self.tile_size or self.overlap % COARSEST_CELL:
            remedy = f"give a multiple of {COARSEST_CELL} up to {self.tile_size // 2}, half of tile_size"
            raise InputError(f"overlap is {self.overlap}: {remedy}")

    @property
    def key(self) -> Key[Array, ""]:
        """The key that all noise derives from."""
        return jax.random.key(self.seed)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a photograph is analysed."""
        return inference_shape(height, width, self.scale)

    def tiled(self, height: int, width: int) -> bool:
        """Whether a photograph is too large to be analysed in one piece."""
        return max(self.shape(height, width)) > self.tile_size


def default_tile_size(trained: int) -> int:
    """At least so much that a photograph at the trained scale is never tiled."""
    return max(TILE_SIZE, -(-trained // COARSEST_CELL) * COARSEST_CELL)


def default_overlap(tile_size: int) -> int:
    """An eighth of a tile."""
    return -(-tile_size // (8 * COARSEST_CELL)) * COARSEST_CELL


def default_analysis(
    config: CheckpointConfig, scale: str | int = "trained", num_samples: int = 24, *, decomposed: bool = False
) -> Analysis:
    """How `spotrust predict` analyses photographs with a model unless its flags say otherwise.

    Raises:
        InputError: for a `scale` other than trained, native or a number of pixels.
    """
    tile_size = default_tile_size(config.inference_size)
    long_side = parse_scale(str(scale), config.inference_size)
    overlap = default_overlap(tile_size)
    return Analysis(long_side, num_samples, tile_size=tile_size, overlap=overlap, decomposed=decomposed)


def parse_scale(text: str, trained: int) -> int | None:
    """The long side that "trained", "native" (None) or a number of pixels stands for."""
    if text == "trained":
        return trained
    if text == "native":
        return None
    # Python reads no number of more than 4300 digits.
    if not text.isdecimal() or len(text) > 9 or int(text) < COARSEST_CELL:
        choices = f"trained, native or a number of pixels from {COARSEST_CELL} up"
        raise InputError(f"--scale={text} is not a scale: give {choices}")
    return int(text)


def predict_photograph(
    segmenter: PartPredictor, image: UInt8[np.ndarray, "height width 3"], analysis: Analysis
) -> Prediction:
    """The maps of a photograph, at its own size."""
    return at_size(analyse(segmenter, image, analysis), *image.shape[:2])


def analyse(
    segmenter: PartPredictor,
    image: UInt8[np.ndarray, "height width 3"],
    analysis: Analysis,
    allocate: Allocate = in_memory,
    between_tiles: Callable[[], None] = lambda: None,
    area_threshold: float | None = None,
    key: Key[Array, ""] | None = None,
    judged: Bool[np.ndarray, "height width"] | None = None,
) -> Prediction:
    """The maps of a photograph, at the size of the analysis.

    Args:
        segmenter: the model.
        image: may be a memory map, of which tiles are read one by one.
        analysis: how.
        allocate: makes the maps, from their shape, that tiles are blended into.
        between_tiles: called before each tile; what it raises ends the analysis.
        area_threshold: calibrated probability from which the pixels of a single pass count as corroded, where the
            areas of the passes are wanted too; with test-time augmentation, those of the photograph as it is.
        key: of all noise; by default the one of the analysis' seed.
        judged: at the size of the analysis, what areas of the passes are shares of; all of it by default.
    """
    sized = fit_image(image, analysis.shape(*image.shape[:2]))
    photograph = content_keys(analysis.key if key is None else key, sized[None])[0]
    tiling = plan_tiles(sized.shape[0], sized.shape[1], analysis.tile_size, analysis.overlap)
    calibration = segmenter.config.calibration
    raw = None if area_threshold is None else np.float32(calibration.inverse(np.float64(area_threshold)))

    def of_tile(tile: Tile) -> Prediction:
        count = None if raw is None else AreaCount(raw, _shares(tiling, tile, judged))
        return _analyse_part(segmenter, crop(sized, tiling.window(tile)), photograph, tile.number, analysis, count)

    if tiling.shape == sized.shape[:2]:
        return of_tile(Tile(0, 0, 0)).calibrated(calibration)
    blend = TileBlend(tiling, allocate)
    for tile in tiling.tiles():
        between_tiles()
        blend.add(tile, of_tile(tile))
    return blend.finish(calibration)


def _shares(
    tiling: Tiling, tile: Tile, judged: Bool[np.ndarray, "_height _width"] | None
) -> Float32[np.ndarray, "rows columns"]:
    """What each pixel of a tile counts in the area of the photograph, or of what is judged of it."""
    weights = tiling.pixel_weights(tile)
    if judged is None:
        return weights / (tiling.rows.length * tiling.columns.length)
    return weights * judged[tiling.window(tile)] / int(judged.sum())


def at_size(prediction: Prediction, height: int, width: int) -> Prediction:
    """All maps, resized."""
    return prediction.map(lambda values: restore_map(values, height, width))


def much_larger(height: int, width: int, analysis: Analysis) -> bool:
    """Whether a photograph is shrunk so much that the user should know."""
    return analysis.scale is not None and max(height, width) > _MUCH_LARGER * analysis.scale


def scale_note(config: CheckpointConfig, analysis: Analysis) -> str | None:
    """What another scale than the trained one means for what calibration measured; None where it measured nothing."""
    if analysis.scale == config.inference_size or not (config.areas.groups or config.promise.fear):
        return None
    at = "their own size" if analysis.scale is None else f"{analysis.scale} pixels"
    return (
        f"photographs are analysed at {at} and the model was trained at {config.inference_size}: intervals of areas, "
        f"grades and the threshold's promise hold only if it was calibrated at this --scale"
    )


def _analyse_part(
    segmenter: PartPredictor,
    part: UInt8[np.ndarray, "height width 3"],
    key: Key[Array, ""],
    tile: int,
    analysis: Analysis,
    count: AreaCount | None,
) -> Prediction:
    """The maps of a whole photograph (tile 0) or of a tile of it."""
    asked = analysis.num_samples, analysis.decomposed
    if not analysis.augment:
        return segmenter.predict_part(part, key, tile, *asked, count)
    found = []
    for number, augmentation in enumerate(AUGMENTATIONS):
        noise = tile * len(AUGMENTATIONS) + number
        image, counted = augmentation.image(part), None if number else count
        prediction = segmenter.predict_part(image, key, noise, *asked, counted)
        found.append(augmentation.restored(prediction, *part.shape[:2]))
    return combine(found)
