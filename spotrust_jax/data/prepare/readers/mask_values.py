"""Masks whose pixels are class colours or class numbers, also those that JPEG has blurred.

The colours are the reference's, or those of a `labelmap.txt` in the source, as CVAT writes it for Pascal VOC masks.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Int32, Shaped, UInt8
from PIL import Image, ImageFilter

from spotrust_jax.data.prepare.readers.classes import ClassLabel, class_label, corrosion_classes_of
from spotrust_jax.data.prepare.source import ClassPixels, Finding, LabelMask, TakenAs, UnusableError
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import LabelPixels, mask_limit, read_label_pixels

JPEG_TOLERANCE = 60.0
"""Largest distance of a pixel of a JPEG mask to its class colour, Euclidean over the 8-bit channels."""

JPEG_SHARE = 0.01
"""Largest share of pixels beyond the tolerance, those aside that touch another class: chroma is blurred there."""

LABELMAP = "labelmap.txt"

_MOST_DIGITS = 10  # of a class's number

Colour = tuple[int, int, int]


class ClassColours(NamedTuple):
    """Class colours with the classes' names, and which of the classes are corrosion or void."""

    colours: tuple[Colour, ...]
    names: tuple[str, ...]
    taken_as: tuple[TakenAs, ...]


class Numbers(NamedTuple):
    """Classes by the values of a mask; where `others` is set, values that have no name are background."""

    names: tuple[tuple[int, str], ...]
    corrosion: frozenset[int]
    ignored: frozenset[int] = frozenset()
    others: bool = False


class MaskRule(NamedTuple):
    """How the pixels of a source's masks are understood."""

    palette: ClassColours
    # What the values of masks of one channel mean.
    numbers: Numbers
    # Whether those of a palette are its indices and not its colours.
    indices: bool = False
    # Whether masks of one channel may be the palette's colours, too, as with a labelmap.txt.
    grey_colours: bool = False


VOID = "void"

_VOID_NUMBER, _VOID_COLOUR = 255, (224, 224, 192)  # Pascal VOC's borders and difficult objects

_REFERENCE_CLASSES = (ClassLabel("background", 0), ClassLabel("corrosion", 1))
_REFERENCE_COLOURS: tuple[Colour, ...] = ((255, 0, 0), (255, 0, 255))
_BLACK_AND_WHITE = ClassColours(((0, 0, 0), (255, 255, 255)), ("value 0", "value 255"), ("background", "corrosion"))
_ZERO_AND_255 = Numbers(((0, "value 0"), (255, "value 255")), frozenset({255}))


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
            limit = min(self.max_pixels, mask_limit((height, width)))
            pixels = read_label_pixels(self.path, palette_indices=self.rule.indices, max_pixels=limit)
        except InputError as error:
            raise UnusableError("unreadable_label", str(error).replace(str(self.path), self.file)) from error
        return mask_of(pixels, self.file, self.rule)


def mask_rule(root: Path, corrosion_classes: tuple[str, ...]) -> tuple[MaskRule, list[Finding]]:
    """How the masks of this source are understood, and rows of its labelmap.txt that cannot be; see `MaskRule`.

    With a labelmap.txt classes go by its names, or by its rows counted from 0, and Pascal VOC's void is ignored.
    Without it they go by pixel value where masks have one channel or a palette, and by the names background and
    corrosion, whose values are 0 and 255; all values beside those given by number are background, but for 255, which
    is ignored. An `InputError` names the classes that are known.
    """
    if (root / LABELMAP).is_file():
        rows, findings = _labelmap(root / LABELMAP)
        labels = [class_label(name, i) for i, (name, _) in enumerate(rows)]
        chosen = corrosion_classes_of(labels, corrosion_classes, root / LABELMAP)
        return _labelled_rule(labels, [colour for _, colour in rows], chosen), findings
    given = frozenset(int(wish) for wish in corrosion_classes if wish.isdecimal() and len(wish) < _MOST_DIGITS)
    names = tuple(wish for wish in corrosion_classes if not wish.isdecimal())
    source = f"{root} (no {LABELMAP} there)"
    chosen = corrosion_classes_of(_REFERENCE_CLASSES, names, source) if names or not given else frozenset()
    corrosion = tuple(label in chosen or label.number in given for label in _REFERENCE_CLASSES)
    palette = ClassColours(_REFERENCE_COLOURS, tuple(label.name for label in _REFERENCE_CLASSES), _taken_as(corrosion))
    by_name = frozenset({"background": 0, "corrosion": 255}[label.name] for label in chosen)
    if not given:
        return MaskRule(palette, _ZERO_AND_255._replace(corrosion=by_name)), []
    # Where 0 alone is corrosion, 255 is what is not.
    ignored = frozenset({_VOID_NUMBER} if given - {0} else ()) - given - by_name
    return MaskRule(palette, Numbers((), given | by_name, ignored, others=True), indices=True), []


def numbers_rule(classes: Sequence[ClassLabel], chosen: frozenset[ClassLabel]) -> MaskRule:
    """The rule for masks whose values have names: others refuse them."""
    names = _numbered(classes)
    numbers = Numbers(names, frozenset(number for number, _ in _numbered(chosen)))
    colours = tuple((number % 256, number % 256, number % 256) for number, _ in names)
    palette = ClassColours(colours, tuple(map(str, classes)), _taken_as([label in chosen for label in classes]))
    return MaskRule(palette, numbers, indices=True)


def mask_of(pixels: LabelPixels, file: str, rule: MaskRule) -> LabelMask:
    """The label that a mask's pixels mean; an `UnusableError` where some are no class."""
    values = pixels.values
    if pixels.jpeg:
        return _from_jpeg(values, file, rule)
    if values.ndim == 3 and not rule.grey_colours and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 3:
        return _from_colours(values, file, rule.palette)
    return _from_grey(values, file, rule) if rule.grey_colours else _from_numbers(values, file, rule.numbers)


def _labelled_rule(labels: Sequence[ClassLabel], colours: Sequence[Colour], chosen: frozenset[ClassLabel]) -> MaskRule:
    """The rule of a labelmap.txt, to which Pascal VOC's void is added."""
    names, taken_as = tuple(map(str, labels)), _taken_as([label in chosen for label in labels])
    palette = ClassColours(tuple(colours), names, taken_as)
    if _VOID_COLOUR not in colours:
        palette = ClassColours((*colours, _VOID_COLOUR), (*names, VOID), (*taken_as, "ignored"))
    numbered = _numbered(labels)
    void = frozenset({_VOID_NUMBER}).difference(dict(numbered))
    numbers = Numbers(numbered, frozenset(number for number, _ in _numbered(chosen)), void)
    return MaskRule(palette, numbers, grey_colours=True)


def _numbered(labels: Iterable[ClassLabel]) -> tuple[tuple[int, str], ...]:
    """Numbers and names of classes, of which each has a number."""
    return tuple((label.number, str(label)) for label in labels if label.number is not None)


def _taken_as(corrosion: Sequence[bool]) -> tuple[TakenAs, ...]:
    return tuple("corrosion" if each else "background" for each in corrosion)


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


def _from_grey(values: Shaped[np.ndarray, "height width"], file: str, rule: MaskRule) -> LabelMask:
    """A mask of one channel beside a labelmap.txt: grey colours of it, or the numbers of its rows."""
    labels, problems = [], []
    for read in (
        lambda: _from_colours(_as_colours(values), file, rule.palette),
        lambda: _from_numbers(values, file, rule.numbers),
    ):
        try:
            labels.append(read())
        except UnusableError as error:
            problems.append(error)
    if not labels:
        raise problems[0]
    if len(labels) > 1 and not all(map(np.array_equal, labels[0][::2], labels[1][::2])):  # masks, and what is ignored
        reason = f"{file} may have colours of {LABELMAP} or the numbers of its rows, which differ"
        raise UnusableError("palette", f"{reason}: save it with colours")
    return labels[0]


def _from_numbers(values: Shaped[np.ndarray, "height width"], file: str, numbers: Numbers) -> LabelMask:
    """Each pixel by its value; those of one bit are 0 and, whichever of both is meant, 1 or 255."""
    if values.dtype == bool:
        high = 1 if 1 in numbers.corrosion or (numbers.names and 255 not in dict(numbers.names)) else 255
        values = values * np.int32(high)
    if values.dtype != np.uint8:
        numbers = numbers._replace(ignored=frozenset())
    found, counts = np.unique(values, return_counts=True)
    names = dict(numbers.names)
    classed = [value for value in found.tolist() if value not in (0, *numbers.ignored)]
    unknown = [value for value in found.tolist() if value not in names and value not in numbers.ignored]
    if unknown and not numbers.others:
        remedy = "give those that are corrosion with --corrosion_classes=NUMBER, several with commas"
        expected = f"expected {_listed(np.array(sorted(names)))}"
        raise UnusableError("palette", f"{file} has values {_listed(found)}, {expected}: {remedy}")
    if numbers.others and not classed and numbers.ignored.intersection(found.tolist()):
        reason = f"{file} has values {_listed(found)}, and 255 may be corrosion or void"
        raise UnusableError("palette", f"{reason}: add 255 to --corrosion_classes, or correct the mask")
    classes = []
    for value, count in zip(found.tolist(), counts.tolist(), strict=True):
        name = VOID if value in numbers.ignored else names.get(value, f"value {value:g}")
        classes.append(ClassPixels(name, _role(value, numbers.corrosion, numbers.ignored), count))
    missing = [
        ClassPixels(name, _role(value, numbers.corrosion), 0) for value, name in names.items() if value not in found
    ]
    ignored = np.isin(values, list(numbers.ignored))
    mask = np.isin(values, list(numbers.corrosion))
    return LabelMask(mask, (), ignored if ignored.any() else None, (*classes, *missing))


def _role(value: int | float, corrosion: frozenset[int], ignored: frozenset[int] = frozenset()) -> TakenAs:
    return "corrosion" if value in corrosion else "ignored" if value in ignored else "background"


def _from_colours(colours: UInt8[np.ndarray, "height width 3"], file: str, palette: ClassColours) -> LabelMask:
    _check_coloured(file, palette)
    codes, known = _codes(colours), _codes(np.array(palette.colours, np.uint8))
    unknown = ~_any_of(codes, known)
    if unknown.any():
        code = np.unique(codes[unknown])
        others = _listed(np.stack([code >> 16, code >> 8 & 255, code & 255], axis=-1))
        expected = _listed(np.array(palette.colours))
        remedy = f"correct the mask, or list its classes in {LABELMAP} (a line name:r,g,b:: each)"
        raise UnusableError("palette", f"{file} has the colours {others}, expected {expected}: {remedy}")
    return _from_regions([codes == code for code in known.tolist()], palette)


def _from_regions(regions: Sequence[Bool[np.ndarray, "height width"]], palette: ClassColours) -> LabelMask:
    """The label from the pixels of each class of a palette."""
    joined = {role: np.zeros(regions[0].shape, bool) for role in get_args(TakenAs)}
    for region, role in zip(regions, palette.taken_as, strict=True):
        joined[role] |= region
    counts = [int(np.count_nonzero(region)) for region in regions]
    classes = tuple(map(ClassPixels, palette.names, palette.taken_as, counts))
    ignored = joined["ignored"] & ~joined["corrosion"]
    return LabelMask(joined["corrosion"], (), ignored if ignored.any() else None, classes)


def _from_jpeg(values: Shaped[np.ndarray, "height width *channel"], file: str, rule: MaskRule) -> LabelMask:
    """Each pixel as the class whose colour is nearest, where nearly all are near one."""
    named = {number for number, _ in rule.numbers.names}
    if (named | rule.numbers.corrosion) - {0, 255} and values.ndim == 2 and not rule.grey_colours:
        raise UnusableError("jpeg_mask", f"{file} was saved as JPEG, which changes class numbers: export it as PNG")
    grey = _BLACK_AND_WHITE._replace(taken_as=_taken_as([value in rule.numbers.corrosion for value in (0, 255)]))
    palettes = [rule.palette] if rule.grey_colours else [grey, rule.palette]
    fits = [(palette, *_nearest(_as_colours(values), palette)) for palette in palettes]
    palette, nearest, beyond = min(fits, key=lambda fit: fit[2])
    if beyond > JPEG_SHARE:
        reason = f"was saved as JPEG, and {beyond:.1%} of its pixels are far from every class colour"
        expected = " or ".join(_listed(np.array(each.colours)) for each in palettes)
        raise UnusableError("jpeg_mask", f"{file} {reason} {expected}: export it again as PNG")
    _check_coloured(file, palette)
    message = f"{file} was saved as JPEG: each pixel was taken as the class of the nearest colour, export it as PNG"
    label = _from_regions([nearest == i for i in range(len(palette.colours))], palette)
    return label._replace(findings=(Finding("jpeg_mask", file, message, False),))


def _nearest(
    colours: UInt8[np.ndarray, "height width 3"], palette: ClassColours
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
    squares = ((colours[..., i].astype(np.float32) - colour[i]) ** 2 for i in range(3))
    return functools.reduce(np.add, squares)


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


def _check_coloured(file: str, palette: ClassColours) -> None:
    if "corrosion" not in palette.taken_as:
        remedy = f"add {LABELMAP} (a line name:r,g,b:: each), or leave --corrosion_classes out"
        raise UnusableError("palette", f"{file} has class colours, and no class has the number given: {remedy}")


def _listed(values: Shaped[np.ndarray, "value *channel"]) -> str:
    shown = [str(tuple(value) if isinstance(value, list) else value) for value in values[:6].tolist()]
    return "{" + ", ".join(shown + ["..."] * (len(values) > 6)) + "}"
