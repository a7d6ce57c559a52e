"""Pictures on request: all maps side by side, maps pixel for pixel without bar, and maps as 16-bit levels for software.

Those that are always written are outputs.py's business.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from spotrust_jax.inference.preprocessing import restore_map
from spotrust_jax.io.streamed_files import PngWriter, png, windows
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.map_files import SHOWN, Result, Scale, beside, map_pictures, scales

_TITLES = {
    "overlay": "Corrosion",
    "probability": "Probability",
    "epistemic": "Epistemic uncertainty",
    "aleatoric": "Aleatoric uncertainty",
}
_TOP = 65535


class Extras(NamedTuple):
    """Which pictures are wanted.

    Attributes:
        panel: STEM_panel.png, photograph and maps side by side under titles, at most 1280 pixels long each.
        plain: STEM_probability_plain.png and its fellows, the colours alone, a pixel for each of the photograph's.
        levels: STEM_probability_16bit.png and its fellows, grey; their description says what a level is.
    """

    panel: bool = False
    plain: bool = False
    levels: bool = False


NO_EXTRAS = Extras()


class _Levels(NamedTuple):
    """A map from `lower` to `upper` in 65536 even steps."""

    lower: float
    upper: float

    @property
    def description(self) -> str:
        return f"value = {self.lower:g} + {self.upper - self.lower:g} * level / {_TOP}"

    def __call__(self, values: Float32[np.ndarray, "rows width"]) -> UInt16[np.ndarray, "rows width"]:
        share = (values - np.float32(self.lower)) * np.float32(1 / (self.upper - self.lower))
        return np.rint(np.clip(share, 0, 1) * np.float32(_TOP)).astype(np.uint16)


def write_extras(stem: Path, result: Result, extras: Extras, style: rendering.Style, bound: float) -> list[Path]:
    """Writes what is wanted and returns the files; log variances lie within `bound` of 0."""
    if extras.panel:
        rendering.save_picture(panel_picture(result, style), beside(stem, "_panel.png"))
    files = [beside(stem, "_panel.png")] if extras.panel else []
    if extras.plain or extras.levels:
        files += _write_rows(stem, result, extras, style, bound)
    return files


def extra_endings() -> list[str]:
    """What follows the stem in the names of all files that `write_extras` may write."""
    pictures = ["probability", *(picture for picture, *_ in SHOWN.values())]
    return ["_panel.png", *(f"_{picture}_{kind}.png" for picture in pictures for kind in ("plain", "16bit"))]


def panel_picture(
    result: Result, style: rendering.Style = rendering.PAPER_STYLE
) -> UInt8[np.ndarray, "height width 3"]:
    """Photograph, overlay and maps side by side, small enough for a screen."""
    small = rendering.small_photograph(result.image)
    prediction = result.prediction.map(lambda values: _reduced(values, *small.shape[:2]))
    pictures = map_pictures(small, prediction, result.threshold, style=style)
    scale = _probability_scale(style.palette)
    bar = scale.bar(small.shape[0])
    pictures["probability"] = np.concatenate([scale.colours(prediction.probability), bar], axis=1)
    shown = [small, *(pictures[name] for name in _TITLES)]
    return rendering.panel(shown, ["Photograph", *_TITLES.values()])


def _reduced(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Of a map that lies on disk not every row is read."""
    step = max(1, min(values.shape[0] // (2 * height), values.shape[1] // (2 * width)))
    return restore_map(np.ascontiguousarray(values[::step, ::step]), height, width)


def _probability_scale(palette: rendering.Palette) -> Scale:
    return Scale("probability", "probability of corrosion", 0.0, 1.0, (False, False), palette)


def _write_rows(stem: Path, result: Result, extras: Extras, style: rendering.Style, bound: float) -> list[Path]:
    """Both kinds at once, from above to below."""
    height, width = result.image.shape[:2]
    coloured = {"probability": _probability_scale(style.palette), **scales(result, style.palette)}
    ranges = {"probability": _Levels(0, 1), "log_variance": _Levels(-bound, bound)}
    graded = {name: ranges.get(name, _Levels(0, 0.5)) for name in coloured}
    with contextlib.ExitStack() as stack:
        plain, levels, files = {}, {}, []
        for name, scale in coloured.items():
            if extras.plain:
                files.append(beside(stem, f"_{scale.picture}_plain.png"))
                plain[name] = stack.enter_context(png(files[-1], height, width))
            if extras.levels:
                files.append(beside(stem, f"_{scale.picture}_16bit.png"))
                writer = png(files[-1], height, width, grey=True, description=graded[name].description)
                levels[name] = stack.enter_context(writer)
        for name, writer, window in _parts(plain, height, width):
            writer.write(coloured[name].colours(result.rows(name, window)))
        for name, writer, window in _parts(levels, height, width):
            writer.write(graded[name](result.rows(name, window)))
    return files


def _parts(writers: dict[str, PngWriter], height: int, width: int) -> Iterator[tuple[str, PngWriter, slice]]:
    return ((name, writer, window) for window in windows(height, width) for name, writer in writers.items())
