"""What of a photograph is judged: its region of interest, from a mask or from what was drawn in labelme.

Not to be confused with the connected corroded regions that are found in a photograph. Which file is a photograph's is
decided in batch/.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from spotrust_jax.data.prepare.readers.drawings import Circle, Drawing, DrawnPolygon, Patch, Undrawable
from spotrust_jax.data.prepare.readers.embedded import embedded_mask
from spotrust_jax.data.prepare.readers.labelme import drawn_shapes
from spotrust_jax.data.prepare.readers.polygons import centred, centred_circle, crosses_itself
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import mask_limit, read_label_pixels, size_text

LABELME = ".json"

INCLUDE, EXCLUDE = ("include", "region"), ("exclude", "hole")
"""Labels of shapes that are judged, and of those that are left out."""

_ROUNDING = 1.0  # pixels by which a shape may reach beyond the picture: labelme's own drawings do


def read_region(path: Path, height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels of a photograph that are judged.

    - A mask has the photograph's size, 255 (or 1 in one bit) where the photograph is judged and 0 elsewhere.
    - A file of labelme (.json) has shapes that are labelled as one of `INCLUDE` or `EXCLUDE`. Judged is what any of the
      former covers, or the whole picture where there is none, less what any of the latter covers. A pixel belongs to a
      polygon, rectangle or circle where its centre does, `centred`.

    Raises:
        InputError: where the file is of another size, reaches outside the picture, has a polygon that crosses itself,
            or leaves no pixel, or where it cannot be read.
    """
    judged = _drawn(path, height, width) if path.suffix.lower() == LABELME else _painted(path, height, width)
    if not judged.any():
        raise InputError(f"region of interest {path} leaves no pixel to judge: mark what is to be judged")
    return judged


def _painted(path: Path, height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    values = read_label_pixels(path, max_pixels=mask_limit((height, width))).values
    _require_size(path, values.shape[:2], (height, width))
    if values.dtype == bool:
        return values
    if not np.isin(values, (0, 255)).all() or (values.ndim == 3 and (values != values[..., :1]).any()):
        remedy = "save it as PNG, 255 where the photograph is judged"
        raise InputError(f"region of interest {path} has other values than 0 and 255: {remedy}")
    return (values if values.ndim == 2 else values[..., 0]) == 255


def _drawn(path: Path, height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    shapes, size = drawn_shapes(path)
    if size is not None:
        _require_size(path, size, (height, width))
    if not shapes:
        raise InputError(f"region of interest {path} is empty: draw what is to be judged, or remove the file")
    for shape in shapes:
        if shape.label.strip().lower() not in INCLUDE + EXCLUDE:
            known = f"{' or '.join(INCLUDE)} for what is judged, {' or '.join(EXCLUDE)} for what is left out"
            raise InputError(f"region of interest {path} has a shape with the label {shape.label!r}: give {known}")
    included, excluded = (
        [one.drawing for one in shapes if one.label.strip().lower() in labels] for labels in (INCLUDE, EXCLUDE)
    )
    judged = _joined(path, included, height, width) if included else np.ones((height, width), bool)
    return judged & ~_joined(path, excluded, height, width)


def _joined(path: Path, drawings: Sequence[Drawing], height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    covered = np.zeros((height, width), bool)
    for drawing in drawings:
        covered |= _pixels(path, drawing, height, width)
    return covered


def _pixels(path: Path, drawing: Drawing, height: int, width: int) -> Bool[np.ndarray, "{height} {width}"]:
    """Of one shape; an `InputError` where it is none that can be judged."""
    match drawing:
        case DrawnPolygon(points):
            _require_inside(
                path, points.min(axis=0, initial=np.inf), points.max(axis=0, initial=-np.inf), height, width
            )
            if len(points) < 3:
                raise InputError(f"region of interest {path} has a polygon of {len(points)} points: draw it again")
            if crosses_itself(points):
                raise InputError(f"region of interest {path} has a polygon that crosses itself: draw it again")
            return centred([points], height, width)
        case Circle(centre, radius):
            _require_inside(path, centre - radius, centre + radius, height, width)
            return centred_circle(centre, radius, height, width)
        case Patch(left, top, rows, columns, encoded):
            _require_inside(path, np.array([left, top]), np.array([left + columns, top + rows]), height, width)
            mask = np.zeros((height + 2, width + 2), bool)
            mask[top + 1 : top + 1 + rows, left + 1 : left + 1 + columns] = embedded_mask(
                encoded, rows, columns, str(path)
            )
            return mask[1:-1, 1:-1]
        case Undrawable(_, reason):
            raise InputError(f"region of interest {path} {reason}")
    raise InputError(f"region of interest {path} has a shape of a kind that has no area: draw it as a polygon")


def _require_size(path: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if tuple(found) != expected:
        sizes = f"is of a picture of {size_text(found)} pixels and the photograph has {size_text(expected)}"
        raise InputError(f"region of interest {path} {sizes}: draw it on the photograph as it is, upright")


def _require_inside(path: Path, low: np.ndarray, high: np.ndarray, height: int, width: int) -> None:
    if (low < -_ROUNDING).any() or (high > np.array([width, height]) + _ROUNDING).any():
        where = f"reaches outside the picture of {width} x {height} pixels"
        raise InputError(f"region of interest {path} {where}: draw it on the photograph as it is, upright")
