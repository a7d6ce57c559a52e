"""The files that a prediction leaves: maps as pictures and numbers for each photograph, at the photograph's size.

They are written window by window, so that a large photograph takes no more memory than a small one. batch/ has which
photographs there are, and summary.py the summary of all.
"""

import contextlib
import dataclasses
import functools
import operator
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float32, Shaped, UInt8

from spotrust_jax.inference.area_interval import AreaInterval
from spotrust_jax.inference.maps import MapPicture
from spotrust_jax.inference.prediction import MAPS, PICTURES, Prediction
from spotrust_jax.inference.preprocessing import restore_rows
from spotrust_jax.io.streamed_files import png, windows, write_npz, write_tiff
from spotrust_jax.metrics.masks import Confusion, confusion
from spotrust_jax.outputs import rendering

MAX_MAP_PIXELS = 50_000_000
"""Photographs of more pixels get their maps as a TIFF in tiles by default."""

# Values from which the range of a picture's colours is taken: no more of them than make a difference to the eye.
_RANGE_VALUES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Measured:
    """Sums over the pixels that have been looked at so far.

    Attributes:
        pixels: their number, of those that are judged.
        corroded: how many of them are corrosion.
        sums: of each map.
        open: sum of p (1 - p) of the probability p, what the pixels leave open.
        confusion: counts against the ground truth, where there is one.
    """

    pixels: int
    corroded: int
    sums: Mapping[str, float]
    open: float
    confusion: Confusion | None

    def __add__(self, other: "Measured") -> "Measured":
        counts = None
        if self.confusion is not None and other.confusion is not None:
            counts = self.confusion + other.confusion
        sums = {name: value + other.sums[name] for name, value in self.sums.items()}
        pixels, corroded = self.pixels + other.pixels, self.corroded + other.corroded
        return Measured(pixels, corroded, sums, self.open + other.open, counts)


@dataclasses.dataclass(frozen=True)
class Result:
    """A photograph and what was found in it.

    Attributes:
        image: the photograph; may lie on disk.
        prediction: its maps at the size of the analysis; may lie on disk.
        threshold: probability from which a pixel counts as corrosion.
        truth: the ground truth, where there is one.
        interval: of the corroded share, where it was drawn.
        judged: true where the photograph is judged, the region of interest; all of it where there is none.
    """

    image: UInt8[np.ndarray, "height width 3"]
    prediction: Prediction
    threshold: float
    truth: Bool[np.ndarray, "height width"] | None = None
    interval: AreaInterval | None = None
    judged: Bool[np.ndarray, "height width"] | None = None
    _latest: dict[str, tuple[slice, np.ndarray]] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def rows(self, name: str, window: slice) -> Float32[np.ndarray, "rows width"]:
        """Rows of a map at the photograph's size; there may be none."""
        if window.start == window.stop:
            return np.zeros((0, self.image.shape[1]), np.float32)
        # Most photographs are one window, which the pictures and the arrays both ask for.
        if self._latest.get(name, (None,))[0] != window:
            height, width = self.image.shape[:2]
            self._latest[name] = window, restore_rows(getattr(self.prediction, name), height, width, window)
        return self._latest[name][1]

    def judged_values(self, values: Shaped[np.ndarray, "rows width"], window: slice) -> Shaped[np.ndarray, "..."]:
        """Of rows of the photograph those values that are judged."""
        return values if self.judged is None else values[self.judged[window]]

    def stored(self, name: str, window: slice) -> Float16[np.ndarray, "rows width"]:
        """The same as they are stored: float16 is exact to 0.0005 for probabilities."""
        return self.rows(name, window).astype(np.float16)


def map_pictures(
    image: UInt8[np.ndarray, "height width 3"],
    prediction: Prediction,
    threshold: float,
    truth: Bool[np.ndarray, "height width"] | None = None,
    style: rendering.Style = rendering.PAPER_STYLE,
) -> dict[str, UInt8[np.ndarray, "_height _width 3"]]:
    """Pictures by name: mask, overlay, epistemic, aleatoric and, where there is a spread or a truth, one for each."""
    result = Result(image, prediction, threshold, truth)
    pictures = _plain_pictures(result, slice(0, image.shape[0]), prediction.probability, style)
    for name, shown in scales(result, style.palette).items():
        values = getattr(prediction, name)
        pictures[shown.picture.name] = np.concatenate([shown.colours(values), shown.bar(image.shape[0])], axis=1)
    return pictures


def write_maps(
    stem: Path, result: Result, *, max_map_pixels: int = MAX_MAP_PIXELS, style: rendering.Style = rendering.PAPER_STYLE
) -> tuple[Measured, list[Path]]:
    """Writes STEM_mask.png and its fellows and the maps, and returns what was measured and the files.

    The maps that `MAPS` calls stored are in STEM_maps.npz or, for photographs of more than `max_map_pixels`, in
    STEM_maps.tif.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    height, width = result.image.shape[:2]
    measured, files = _write_pictures(stem, result, style)
    large = height * width > max_map_pixels
    path = beside(stem, "_maps.tif" if large else "_maps.npz")
    names = [name for name in result.prediction.names if MAPS[name].stored]
    rows = {name: lambda window, name=name: result.stored(name, window) for name in names}
    if large:
        write_tiff(path, rows, height, width)
    else:
        write_npz(path, rows, height, width, noisy=[name for name in names if not MAPS[name].compressed])
    # A photograph that was smaller, or a limit that was lower, must not leave two versions of the maps.
    beside(stem, "_maps.npz" if large else "_maps.tif").unlink(missing_ok=True)
    return measured, [*files, path]


def map_endings() -> list[str]:
    """What follows the stem in the names of all files that `write_maps` may write."""
    pictures = ["mask", "overlay", "accuracy", *(picture.name for picture in PICTURES.values() if picture.always)]
    return [*(f"_{picture}.png" for picture in pictures), "_maps.npz", "_maps.tif"]


def beside(stem: Path, ending: str) -> Path:
    """The stem with an ending; `with_suffix` would cut a stem that has a dot in it."""
    return stem.parent / f"{stem.name}{ending}"


@dataclasses.dataclass(frozen=True)
class Scale:
    """How the colours of a picture show a map.

    Attributes:
        picture: the picture.
        lower, upper: ends of the colours, in the map's unit.
        beyond: whether there are values below and above them.
        palette: the colours.
    """

    picture: MapPicture
    lower: float
    upper: float
    beyond: tuple[bool, bool]
    palette: rendering.ColourScheme

    def colours(self, values: Float32[np.ndarray, "rows width"]) -> UInt8[np.ndarray, "rows width 3"]:
        """The map in colours."""
        return rendering.viridis_picture(values, self.lower, self.upper, self.palette)

    def bar(self, height: int) -> UInt8[np.ndarray, "height width 3"]:
        """The bar to it, as high as the picture."""
        ends = {"lower": self.lower, "upper": self.upper, "beyond": self.beyond}
        return rendering.colour_bar(height, label=self.picture.label, palette=self.palette, **ends)


def scales(
    result: Result, palette: rendering.ColourScheme = rendering.PAPER, *, optional: bool = False
) -> dict[str, Scale]:
    """By map, of the pictures that are always written or, where `optional`, of all."""
    there = result.prediction.names
    shown = [name for name, picture in PICTURES.items() if name in there and (optional or picture.always)]
    return {name: _scale(name, getattr(result.prediction, name), palette) for name in shown}


def _scale(name: str, values: Float32[np.ndarray, "height width"], palette: rendering.ColourScheme) -> Scale:
    """Its range is that of the map at the size of the analysis, which resizing does not leave."""
    described, picture = MAPS[name], PICTURES[name]
    if picture.whole_range and described.range is not None:
        lower, upper = described.range
        return Scale(picture, lower, upper, (False, False), palette)
    step = max(1, round((values.size / _RANGE_VALUES) ** 0.5))
    values = values[::step, ::step]
    lower, upper = rendering.display_range(values, floor=described.floor)
    beyond = bool(values.min() < lower), bool(values.max() > upper)
    return Scale(picture, lower, upper, beyond, palette)


def _write_pictures(stem: Path, result: Result, style: rendering.Style) -> tuple[Measured, list[Path]]:
    """All pictures at once, from above to below."""
    height, width = result.image.shape[:2]
    shown = scales(result, style.palette)
    bars = {name: scale.bar(height) for name, scale in shown.items()}
    plain = ["mask", "overlay"] + ["accuracy"] * (result.truth is not None)
    widths: dict[str, int] = {name: width for name in plain}
    widths |= {scale.picture.name: width + bars[name].shape[1] for name, scale in shown.items()}
    paths = {picture: beside(stem, f"_{picture}.png") for picture in widths}
    parts = []
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(png(paths[name], height, widths[name])) for name in widths}
        for window in windows(height, width):
            values = {name: result.rows(name, window) for name in result.prediction.names}
            for name, scale in shown.items():
                coloured = scale.colours(values[name])
                writers[scale.picture.name].write(np.concatenate([coloured, bars[name][window]], axis=1))
            for name, picture in _plain_pictures(result, window, values["probability"], style).items():
                writers[name].write(picture)
            parts.append(_measure(result, window, values))
    return functools.reduce(operator.add, parts), list(paths.values())


def _plain_pictures(
    result: Result, window: slice, probability: Float32[np.ndarray, "rows width"], style: rendering.Style
) -> dict[str, UInt8[np.ndarray, "rows width 3"]]:
    """Rows of the pictures that need no colour bar."""
    height, width = result.image.shape[:2]
    outline = rendering.outline_width(height, width)
    # The outline depends on as many rows above and below as it is wide.
    above, below = (
        slice(max(0, window.start - outline), window.start),
        slice(window.stop, min(height, window.stop + outline)),
    )
    parts = [result.rows("probability", above), probability, result.rows("probability", below)]
    mask = np.concatenate([part for part in parts if part.size]) >= result.threshold
    inner = slice(window.start - above.start, window.stop - above.start)
    band, palette = result.image[above.start : below.stop], style.palette
    if result.judged is None:
        overlay = rendering.overlay_picture(band, mask, style.opacity, outline, palette)
    else:
        judged = result.judged[above.start : below.stop]
        overlay = rendering.overlay_picture(band, mask & judged, style.opacity, outline, palette)
        overlay = rendering.outlined_region(overlay, judged, outline)
    pictures = {"mask": rendering.mask_picture(mask[inner], palette), "overlay": overlay[inner]}
    if result.truth is None:
        return pictures
    return {**pictures, "accuracy": rendering.accuracy_picture(mask[inner], result.truth[window], palette)}


def _measure(result: Result, window: slice, values: Mapping[str, Float32[np.ndarray, "rows width"]]) -> Measured:
    judged = {name: result.judged_values(value, window) for name, value in values.items()}
    mask = judged["probability"] >= result.threshold
    counts = None if result.truth is None else confusion(mask, result.judged_values(result.truth[window], window))
    sums = {name: float(value.sum(dtype=np.float64)) for name, value in judged.items()}
    p = judged["probability"].astype(np.float64)
    return Measured(mask.size, int(mask.sum()), sums, float((p * (1 - p)).sum()), counts)
