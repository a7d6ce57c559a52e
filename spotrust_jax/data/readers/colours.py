"""Masks whose pixels are class colours or class numbers, also those that JPEG has blurred.

The colours are the reference's, or those of a `labelmap.txt` in the source, as CVAT writes it for Pascal VOC masks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32, Shaped, UInt8
from PIL import Image, ImageFilter

from spotrust_jax.data.images import LabelPixels, read_label_pixels
from spotrust_jax.data.readers.classes import ClassLabel, corrosion_classes_of
from spotrust_jax.data.source import Finding, LabelMask, UnusableError
from spotrust_jax.errors import InputError

JPEG_TOLERANCE = 60.0
"""Largest distance of a pixel of a JPEG mask to its class colour, Euclidean over the 8-bit channels."""

JPEG_SHARE = 0.01
"""Largest share of pixels beyond the tolerance, those aside that touch another class: chroma is blurred there."""

LABELMAP = "labelmap.txt"

Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """Class colours, and which of the classes are corrosion."""

    colours: tuple[Colour, ...]
    corrosion: tuple[bool, ...]


class MaskRule(NamedTuple):
    """How the pixels of a source's masks are understood."""

    palette: Palette
    # What counts as corrosion in masks of one channel; without it they have 0 and 255 only.
    numbers: frozenset[int] | None = None
    # Whether masks of one channel and palettes are colours, too.
    colours_only: bool = False


_REFERENCE_CLASSES = (ClassLabel("background", 0), ClassLabel("corrosion", 1))
_REFERENCE_COLOURS: tuple[Colour, ...] = ((255, 0, 0), (255, 0, 255))
_BLACK_AND_WHITE = Palette(((0, 0, 0), (255, 255, 255)), (False, True))


@dataclass(frozen=True)
class MaskLabel:
    """A label that is an image; `file` is its path as findings name it."""

    path: Path
    file: str
    rule: MaskRule
    max_pixels: int

    def read(self, height: int, width: int) -> LabelMask:
        """The mask at its own size; an `UnusableError` where it is damaged or has pixels that are no class."""
        try:
            indices = self.rule.numbers is not None
            pixels = read_label_pixels(self.path, palette_indices=indices, max_pixels=self.max_pixels)
        except InputError as error:
            raise UnusableError("unreadable_label", str(error)) from error
        return mask_of(pixels, self.file, self.rule)


def mask_rule(root: Path, corrosion_classes: tuple[str, ...]) -> tuple[MaskRule, list[Finding]]:
    """How the masks of this source are understood, and rows of its labelmap.txt that cannot be; see `MaskRule`.

    With a labelmap.txt classes go by its names, or by its rows counted from 0. Without it they go by pixel value where
    masks have one channel or a palette, and by the names background and corrosion. An `InputError` names those known.
    """
    if (root / LABELMAP).is_file():
        colours, findings = _labelmap(root / LABELMAP)
        labels = [ClassLabel(name, i) for i, (name, _) in enumerate(colours)]
        chosen = corrosion_classes_of(labels, corrosion_classes, root / LABELMAP)
        palette = Palette(tuple(colour for _, colour in colours), tuple(label in chosen for label in labels))
        return MaskRule(palette, colours_only=True), findings
    numbers = frozenset(int(wish) for wish in corrosion_classes if wish.isdecimal())
    names = tuple(wish for wish in corrosion_classes if not wish.isdecimal())
    source = f"{root} (no {LABELMAP} there)"
    chosen = corrosion_classes_of(_REFERENCE_CLASSES, names, source) if names or not numbers else frozenset()
    corrosion = tuple(label in chosen or label.number in numbers for label in _REFERENCE_CLASSES)
    palette = Palette(_REFERENCE_COLOURS, corrosion)
    if not corrosion_classes:
        return MaskRule(palette), []
    named = {"background": 0, "corrosion": 255}
    return MaskRule(palette, numbers | {named[label.name] for label in chosen}), []


def mask_of(pixels: LabelPixels, file: str, rule: MaskRule) -> LabelMask:
    """The label that a mask's pixels mean; an `UnusableError` where some are no class."""
    values = pixels.values
    if pixels.jpeg:
        return _from_jpeg(values, file, rule)
    if rule.colours_only:
        return LabelMask(_from_colours(_as_colours(values), file, rule.palette))
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 2:
        return LabelMask(_from_numbers(values, file, rule.numbers))
    return LabelMask(_from_colours(values, file, rule.palette))


def _labelmap(path: Path) -> tuple[list[tuple[str, Colour]], list[Finding]]:
    """Names and colours of the rows `name:r,g,b::`, in their order."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): save it as text in UTF-8, a line name:r,g,b:: a class"
        ) from error
    colours, findings = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        channels = [channel.strip() for channel in rest.split(":")[0].split(",")]
        if len(channels) == 3 and all(channel.isdecimal() and int(channel) <= 255 for channel in channels):
            colours.append((name.strip(), tuple(int(channel) for channel in channels)))
        else:
            message = f"{LABELMAP} line {number} is {line!r}, expected name:r,g,b:: with 0 to 255: correct it"
            findings.append(Finding("table", LABELMAP, message, False))
    if not colours:
        raise InputError(f"{path} has no class: write a line name:r,g,b:: for each")
    return colours, findings


def _from_numbers(
    values: Shaped[np.ndarray, "height width"], file: str, numbers: frozenset[int] | None
) -> Bool[np.ndarray, "height width"]:
    """Corrosion where the value is one of the numbers; without numbers, or with one bit, where it is the higher one."""
    if values.dtype == bool:
        return values if numbers is None or numbers & {1, 255} else ~values if 0 in numbers else np.zeros_like(values)
    if numbers is not None:
        return np.isin(values, list(numbers))
    corrosion = values == 255
    if not (corrosion | (values == 0)).all():
        remedy = "give those that are corrosion with --corrosion_classes=NUMBER, several with commas"
        raise UnusableError("palette", f"{file} has values {_listed(np.unique(values))}, expected 0 and 255: {remedy}")
    return corrosion


def _from_colours(
    colours: UInt8[np.ndarray, "height width 3"], file: str, palette: Palette
) -> Bool[np.ndarray, "height width"]:
    _check_coloured(file, palette)
    codes, known = _codes(colours), _codes(np.array(palette.colours, np.uint8))
    unknown = ~_any_of(codes, known)
    if unknown.any():
        code = np.unique(codes[unknown])
        others = _listed(np.stack([code >> 16, code >> 8 & 255, code & 255], axis=-1))
        expected = _listed(np.array(palette.colours))
        remedy = f"correct the mask, or list its classes in {LABELMAP} (a line name:r,g,b:: each)"
        raise UnusableError("palette", f"{file} has the colours {others}, expected {expected}: {remedy}")
    return _any_of(codes, known[np.array(palette.corrosion)])


def _from_jpeg(values: Shaped[np.ndarray, "height width *channel"], file: str, rule: MaskRule) -> LabelMask:
    """Each pixel as the class whose colour is nearest, where nearly all are near one."""
    if rule.numbers and rule.numbers - {0, 255} and values.ndim == 2:
        raise UnusableError("jpeg_mask", f"{file} was saved as JPEG, which changes class numbers: export it as PNG")
    white = rule.numbers is None or 255 in rule.numbers
    grey = _BLACK_AND_WHITE._replace(corrosion=(bool(rule.numbers) and 0 in rule.numbers, white))
    palettes = [rule.palette] if rule.colours_only else [grey, rule.palette]
    fits = [(palette, *_nearest(_as_colours(values), palette)) for palette in palettes]
    palette, nearest, beyond = min(fits, key=lambda fit: fit[2])
    if beyond > JPEG_SHARE:
        reason = f"was saved as JPEG, and {beyond:.1%} of its pixels are far from every class colour"
        expected = " or ".join(_listed(np.array(each.colours)) for each in palettes)
        raise UnusableError("jpeg_mask", f"{file} {reason} {expected}: export it again as PNG")
    _check_coloured(file, palette)
    message = f"{file} was saved as JPEG: each pixel was taken as the class of the nearest colour, export it as PNG"
    return LabelMask(np.array(palette.corrosion)[nearest], (Finding("jpeg_mask", file, message, False),))


def _nearest(
    colours: UInt8[np.ndarray, "height width 3"], palette: Palette
) -> tuple[Shaped[np.ndarray, "height width"], float]:
    """The class nearest to each pixel, and the share of pixels within one class that are far from it."""
    nearest, distance = np.zeros(colours.shape[:2], np.int32), np.full(colours.shape[:2], np.inf, np.float32)
    for i, colour in enumerate(palette.colours):
        candidate = _squared_distance(colours, colour)
        nearest[candidate < distance] = i
        np.minimum(distance, candidate, out=distance)
    far = distance > JPEG_TOLERANCE**2
    image = Image.fromarray(nearest.astype(np.uint8))
    within = np.asarray(image.filter(ImageFilter.MinFilter(3))) == np.asarray(image.filter(ImageFilter.MaxFilter(3)))
    return nearest, float((far & within).mean())


def _squared_distance(
    colours: UInt8[np.ndarray, "height width 3"], colour: Colour
) -> Float[np.ndarray, "height width"]:
    return sum(((colours[..., i].astype(np.float32) - colour[i]) ** 2 for i in range(3)), np.float32(0))


def _as_colours(values: Shaped[np.ndarray, "height width *channel"]) -> UInt8[np.ndarray, "height width 3"]:
    if values.ndim == 3:
        return values
    grey = values * np.uint8(255) if values.dtype == bool else values.clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _any_of(
    codes: Int32[np.ndarray, "height width"], wanted: Int32[np.ndarray, " class"]
) -> Bool[np.ndarray, "height width"]:
    """What `np.isin` says, several times faster for few classes."""
    found = np.zeros(codes.shape, bool)
    for code in wanted.tolist():
        found |= codes == code
    return found


def _codes(colours: UInt8[np.ndarray, "*shape 3"]) -> Int32[np.ndarray, "*shape"]:
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _check_coloured(file: str, palette: Palette) -> None:
    if not any(palette.corrosion):
        remedy = f"add {LABELMAP} (a line name:r,g,b:: each), or leave --corrosion_classes out"
        raise UnusableError("palette", f"{file} has class colours, and no class has the number given: {remedy}")


def _listed(values: Shaped[np.ndarray, "value *channel"]) -> str:
    shown = [str(tuple(value) if isinstance(value, list) else value) for value in values[:6].tolist()]
    return "{" + ", ".join(shown + ["..."] * (len(values) > 6)) + "}"
