"""Pictures on request: all maps side by side, maps pixel for pixel without bar, and maps as 16-bit levels for software.

map_files.py has those that are always written.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from spotrust_jax.inference.maps import Given
from spotrust_jax.inference.prediction import MAPS, PICTURES
from spotrust_jax.inference.preprocessing import restore_map
from spotrust_jax.io.streamed_files import PngWriter, png, windows
from spotrust_jax.outputs import rendering
from spotrust_jax.outputs.map_files import Result, beside, map_pictures, scales

_TOP = 65535


class PictureOptions(NamedTuple):
    """Which pictures are wanted.

    Attributes:
        panel: STEM_panel.png, photograph and maps side by side under titles, at most 1280 pixels long each.
        plain: STEM_probability_plain.png and its fellows, the colours alone, a pixel for each of the photograph's.
        levels: STEM_probability_16bit.png and its fellows, grey; their description says what a level is.
    """

    panel: bool = False
    plain: bool = False
    levels: bool = False


NO_OPTIONS = PictureOptions()


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


def write_optional_pictures(
    stem: Path, result: Result, options: PictureOptions, style: rendering.Style, bound: float
) -> list[Path]:
    """Writes what is wanted and returns the files; log variances lie within `bound` of 0."""
    if options.panel:
        rendering.save_picture(panel_picture(result, style), beside(stem, "_panel.png"))
    files = [beside(stem, "_panel.png")] if options.panel else []
    if options.plain or options.levels:
        files += _write_rows(stem, result, options, style, bound)
    return files


def optional_endings() -> list[str]:
    """What follows the stem in the names of all files that `write_optional_pictures` may write."""
    return [
        "_panel.png",
        *(f"_{picture.name}_{kind}.png" for picture in PICTURES.values() for kind in ("plain", "16bit")),
    ]


def panel_picture(
    result: Result, style: rendering.Style = rendering.PAPER_STYLE
) -> UInt8[np.ndarray, "height width 3"]:
    """Photograph, overlay and maps side by side, small enough for a screen."""
    small = rendering.small_photograph(result.image)
    prediction = result.prediction.map(lambda values: _reduced(values, *small.shape[:2]))
    overlay = map_pictures(small, prediction, result.threshold, style=style)["overlay"]
    shown = {"Photograph": small, "Corrosion": overlay}
    for name, scale in scales(Result(small, prediction, result.threshold), style.palette, optional=True).items():
        if MAPS[name].given is Given.ALWAYS:
            values = getattr(prediction, name)
            shown[MAPS[name].title] = np.concatenate([scale.colours(values), scale.bar(small.shape[0])], axis=1)
    return rendering.panel(list(shown.values()), list(shown))


def _reduced(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Of a map that lies on disk not every row is read."""
    step = max(1, min(values.shape[0] // (2 * height), values.shape[1] // (2 * width)))
    return restore_map(np.ascontiguousarray(values[::step, ::step]), height, width)


def _write_rows(
    stem: Path, result: Result, options: PictureOptions, style: rendering.Style, bound: float
) -> list[Path]:
    """Both kinds at once, from above to below."""
    height, width = result.image.shape[:2]
    coloured = scales(result, style.palette, optional=True)
    graded = {name: _Levels(*(MAPS[name].range or (-bound, bound))) for name in coloured}
    with contextlib.ExitStack() as stack:
        plain, levels, files = {}, {}, []
        for name, scale in coloured.items():
            if options.plain:
                files.append(beside(stem, f"_{scale.picture.name}_plain.png"))
                plain[name] = stack.enter_context(png(files[-1], height, width))
            if options.levels:
                files.append(beside(stem, f"_{scale.picture.name}_16bit.png"))
                writer = png(files[-1], height, width, grey=True, description=graded[name].description)
                levels[name] = stack.enter_context(writer)
        for name, writer, window in _parts(plain, height, width):
            writer.write(coloured[name].colours(result.rows(name, window)))
        for name, writer, window in _parts(levels, height, width):
            writer.write(graded[name](result.rows(name, window)))
    return files


def _parts(writers: dict[str, PngWriter], height: int, width: int) -> Iterator[tuple[str, PngWriter, slice]]:
    return ((name, writer, window) for window in windows(height, width) for name, writer in writers.items())
