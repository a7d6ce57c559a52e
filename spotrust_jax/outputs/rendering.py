"""Pictures of masks and uncertainty maps for people, in the paper's colours, as uint8 RGB arrays.

Which maps there are and what their files are called is decided by the callers; nothing here changes a map's numbers.
"""

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from spotrust_jax.io.atomic_files import atomic_file

BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)
CYAN, RED, YELLOW = (0, 255, 255), (255, 0, 0), (255, 220, 0)

_SMALLEST_FONT = 12  # pixels; below that digits run together
_SMALL_SIDE = 1280  # pixels, the longest of a small photograph


class ColourScheme(NamedTuple):
    """Colours of pictures.

    Attributes:
        corrosion: in masks and overlays, and where an accuracy map has a false alarm.
        missed: where an accuracy map has corrosion that was not found.
        scale: matplotlib's name of the colours of uncertainty, from low to high.
    """

    corrosion: tuple[int, int, int] = CYAN
    missed: tuple[int, int, int] = RED
    scale: str = "viridis"


PAPER = ColourScheme()
# Sky blue and vermilion (Okabe and Ito 2008) and cividis look much the same to all kinds of colour vision.
COLOUR_BLIND = ColourScheme((86, 180, 233), (213, 94, 0), "cividis")


class Style(NamedTuple):
    """How pictures look: their colours, and the share of colour that is mixed into an overlay, 0 to 1."""

    palette: ColourScheme = PAPER
    opacity: float = 0.45


PAPER_STYLE = Style()


def mask_picture(
    mask: Bool[np.ndarray, "height width"], palette: ColourScheme = PAPER
) -> UInt8[np.ndarray, "height width 3"]:
    """Corrosion cyan, or in the palette's colour, on black."""
    return np.take(np.array([BLACK, palette.corrosion], np.uint8), mask.astype(np.uint8), axis=0)


def overlay_picture(
    image: UInt8[np.ndarray, "height width 3"],
    mask: Bool[np.ndarray, "height width"],
    opacity: float = 0.45,
    outline: int | None = None,
    palette: ColourScheme = PAPER,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the photograph with corrosion mixed with `opacity` (0 to 1) parts of cyan, and outlined in full cyan.

    Another palette has another colour.

    The outline lies inside the mask, where corrosion meets background (not along the edge of the photograph); unless
    `outline` gives its width in pixels, it is `outline_width`.
    """
    outline = outline_width(*mask.shape) if outline is None else outline
    picture = np.array(image)
    for channel, mixed in enumerate(_mixed(opacity, palette.corrosion)):
        np.copyto(picture[..., channel], np.take(mixed, image[..., channel]), where=mask)
    picture[_outline(mask, outline)] = palette.corrosion
    return picture


def outlined_region(
    picture: UInt8[np.ndarray, "height width 3"], judged: Bool[np.ndarray, "height width"], outline: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with a thin yellow line, `outline` pixels wide, within the border of what is judged."""
    picture = np.array(picture)
    picture[_outline(judged, outline)] = YELLOW
    return picture


def outline_width(height: int, width: int) -> int:
    """Pixels: one up to a short side of 600, and growing with it, so that it survives scaling for a screen."""
    return max(1, round(min(height, width) / 400))


def accuracy_picture(
    mask: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"], palette: ColourScheme = PAPER
) -> UInt8[np.ndarray, "height width 3"]:
    """White true positive, black true negative, in the paper's palette cyan false positive and red false negative."""
    colours = np.array([BLACK, palette.corrosion, palette.missed, WHITE], np.uint8)
    return np.take(colours, mask.astype(np.uint8) + 2 * truth.astype(np.uint8), axis=0)


def uncertainty_picture(
    values: Float[np.ndarray, "height width"], *, label: str, lower: float, upper: float
) -> UInt8[np.ndarray, "height wider 3"]:
    """Return the map in viridis, `upper` and above yellow, pixel for pixel, and to its right a colour bar with units.

    `lower` < `upper` are in the unit of `values`, which `label` names; where values lie beyond them, the bar's ends
    say so by ≤ and ≥. NaN is grey. Text is in proportion to the height; what does not fit a small picture is left out.
    """
    beyond = bool(np.any(values < lower)), bool(np.any(values > upper))
    bar = colour_bar(values.shape[0], label=label, lower=lower, upper=upper, beyond=beyond)
    return np.concatenate([viridis_picture(values, lower, upper), bar], axis=1)


def viridis_picture(
    values: Float[np.ndarray, "height width"], lower: float, upper: float, palette: ColourScheme = PAPER
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the map in viridis, or the palette's scale, from `lower` and below to `upper` and above; NaN is grey."""
    unknown = np.isnan(values)
    level = np.where(unknown, lower, values) if unknown.any() else values
    level = np.multiply(level - np.float32(lower), np.float32(256 / (upper - lower)), dtype=np.float32)
    picture = np.take(
        scale_colours(palette.scale), np.clip(level, 0, 255, out=level).astype(np.uint8), axis=0, mode="clip"
    )
    picture[unknown] = GREY
    return picture


def colour_bar(
    height: int,
    *,
    label: str,
    lower: float,
    upper: float,
    beyond: tuple[bool, bool],
    palette: ColourScheme = PAPER,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the bar to a map; `beyond` says whether there are values below `lower` and above `upper`."""
    below, above = ("≤ " if beyond[0] else ""), ("≥ " if beyond[1] else "")
    ticks = {upper: f"{above}{upper:.6g}", lower: f"{below}{lower:.6g}"}
    ticks |= {tick: f"{tick:.6g}" for tick in _round_numbers(lower, upper) if lower < tick < upper}
    rows = {text: round((upper - tick) / (upper - lower) * (height - 1)) for tick, text in ticks.items()}
    return _colour_bar(height, rows, label, palette)


@functools.cache
def scale_colours(name: str) -> UInt8[np.ndarray, "256 3"]:
    """The colours of one of matplotlib's scales, from low to high."""
    import matplotlib  # noqa: PLC0415 - a quarter of a second, which a program can spend while it computes

    return matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]


def display_range(values: Float[np.ndarray, "..."], *, floor: float | None = None) -> tuple[float, float]:
    """Round bounds, the first below the second, between which `values` can be shown.

    They cover the finite values from the 0.5 to the 99.5 percentile; `floor`, where given, is the lower bound instead
    (0 for a standard deviation). A constant map gets an interval of the size of its value, at least 1, around it.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = np.percentile(finite, [0.5, 99.5]).tolist() if finite.size else (0.0, 0.0)
    low = low if floor is None else floor
    high = max(low, high)
    if high - low < 1e-9 + 1e-6 * max(abs(low), abs(high)):
        half = max(1.0, abs(low)) / 2
        low, high = (low - half if floor is None else floor), high + half
    step = _round_step(low, high)
    lower = _rounded(math.floor(low / step + 1e-9) * step) if floor is None else floor
    return lower, _rounded(math.ceil(high / step - 1e-9) * step)


def panel(pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], titles: Sequence[str]) -> UInt8[np.ndarray, "height width 3"]:
    """Side by side, scaled to the height of the tallest, on white, each under its title. As many titles as pictures."""
    height = max(picture.shape[0] for picture in pictures)
    columns = [_titled(_scaled(picture, height), title) for picture, title in zip(pictures, titles, strict=True)]
    gap = np.full((columns[0].shape[0], max(2, height // 50), 3), 255, np.uint8)
    return np.concatenate([part for column in columns for part in (gap, column)][1:], axis=1)


def save_picture(picture: UInt8[np.ndarray, "height width 3"], path: str | os.PathLike[str]) -> None:
    """Write a PNG in one step: a reader sees the old file or the whole new one, whatever happens. The folder exists."""
    with atomic_file(Path(path)) as partial:
        # Pillow's own level takes more than twice as long, for photographs that are a few per cent smaller.
        Image.fromarray(picture).save(partial, format="PNG", compress_level=1)


def _outline(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of the mask that are at most `width` steps up, down, left or right away from the background."""
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1, constant_values=True)
        inner = inner & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return mask & ~inner


@functools.cache
def _mixed(opacity: float, colour: tuple[int, int, int]) -> np.ndarray:
    """What each level of each channel becomes when a colour is mixed in."""
    levels = np.arange(256)[None] * (1 - opacity) + opacity * np.array(colour)[:, None]
    return np.rint(levels).astype(np.uint8)


def _colour_bar(height: int, rows: dict[str, int], label: str, palette: ColourScheme) -> np.ndarray:
    """Draw the bar, yellow above, with text ticks at the given rows (the first come first) and an upright label."""
    font = _font(0.03 * height)
    size = round(font.size)
    bar = np.linspace(255, 0, height).round().astype(np.uint8)
    ticks = _without_overlap(rows, height, line=round(1.3 * size))
    text_left = 5 * size // 2
    text_right = text_left + math.ceil(max(map(font.getlength, ticks), default=-size))
    label_strip = _upright_text(label, font, height)
    canvas = np.full((height, text_right + size // 2, 3), 255, np.uint8)
    canvas[:, size // 2 : size // 2 + size] = scale_colours(palette.scale)[bar][:, None]
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for text, (row, middle) in ticks.items():
        draw.line([(size // 2 + size, row), (2 * size, row)], fill=BLACK, width=max(1, size // 12))
        draw.text((text_left, middle), text, fill=BLACK, font=font, anchor="lm")
    return np.concatenate([np.asarray(picture), label_strip], axis=1)


def _without_overlap(rows: dict[str, int], height: int, line: int) -> dict[str, tuple[int, int]]:
    """Row of the tick and of the middle of its text, for the texts that fit, earlier ones first."""
    placed: dict[str, tuple[int, int]] = {}
    for text, row in rows.items():
        middle = min(max(row, line // 2), height - line // 2)
        if height >= 2 * line and all(abs(middle - other) >= line for _, other in placed.values()):
            placed[text] = (row, middle)
    return placed


def _upright_text(text: str, font: ImageFont.FreeTypeFont, height: int) -> np.ndarray:
    """Text that reads upwards, in as many lines as the height needs; no columns where a word does not fit."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if font.getlength(longer) <= height else [*lines, word]
    if any(font.getlength(line) > height for line in lines):
        return np.full((height, 0, 3), 255, np.uint8)
    spacing = round(1.3 * font.size)
    picture = Image.new("RGB", (height, spacing * len(lines) + spacing // 3), WHITE)
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        draw.text((height / 2, spacing * (i + 0.5)), line, fill=BLACK, font=font, anchor="mm")
    return np.rot90(np.asarray(picture))


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    """Return the picture under its title, with white columns on the right where the title is wider."""
    height, width = picture.shape[:2]
    font = _font(0.045 * height)
    strip = round(1.6 * font.size)
    canvas = np.full((strip + height, max(width, math.ceil(font.getlength(title))), 3), 255, np.uint8)
    canvas[strip:, :width] = picture
    titled = Image.fromarray(canvas)
    ImageDraw.Draw(titled).text((0, strip / 2), title, fill=BLACK, font=font, anchor="lm")
    return np.asarray(titled)


def _scaled(picture: np.ndarray, height: int) -> np.ndarray:
    if picture.shape[0] == height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    import matplotlib  # noqa: PLC0415 - as above

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), max(_SMALLEST_FONT, round(size)))


def _round_step(lower: float, upper: float) -> float:
    """1, 2 or 5 times a power of ten, at most five of which lie between the two."""
    wanted = (upper - lower) / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))


def _round_numbers(lower: float, upper: float) -> list[float]:
    step = _round_step(lower, upper)
    return [_rounded(i * step) for i in range(math.ceil(lower / step), math.floor(upper / step) + 1)]


def _rounded(value: float) -> float:
    """Take away what binary arithmetic added: 3 * 0.1 is 0.3."""
    return float(f"{value:.12g}")


def small_photograph(image: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """At most 1280 pixels long; of very large ones not every pixel is read."""
    longest = max(image.shape[:2])
    step = max(1, longest // (2 * _SMALL_SIDE))
    picture = Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    picture.thumbnail((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)
