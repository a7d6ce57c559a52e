"""The scale of a photograph from ArUco markers of known size in it."""

import importlib.util

import numpy as np
from jaxtyping import Float64, UInt8
from scipy import ndimage

from spotrust_jax.errors import InputError

SMALLEST = 40
"""Pixels along a marker's side from which areas are right to 1% where the photograph is sharp."""

# Of the dictionary: four cells of the pattern and the black rim on both sides.
_CELLS = 6
# Pixels on both sides of an edge that are looked at, and between the places that are.
_REACH, _STEP = 2.5, 0.25
# Parts of a side whose edges are found by themselves, and how often everything is found anew from where it was found.
_PARTS, _ROUNDS = 4, 5

Corners = Float64[np.ndarray, "4 2"]
Point = Float64[np.ndarray, "2"]


def require_marker_reader() -> None:
    """An `InputError` where OpenCV is not installed."""
    if importlib.util.find_spec("cv2") is None:
        raise InputError("markers are found by OpenCV, which is not installed: pip install 'spotrust-jax[aruco]'")


def millimetres_per_pixel(image: UInt8[np.ndarray, "height width 3"], marker_millimetres: float) -> float | None:
    """Millimetres on the surface for each pixel, or None where no marker is seen.

    Markers are of ArUco's dictionary 4X4_50, black sides of `marker_millimetres`, and lie flat on the surface, which
    the camera faces. Of several the median counts.
    """
    side = marker_side(image)
    return None if side is None else marker_millimetres / side


def marker_side(image: UInt8[np.ndarray, "height width 3"]) -> float | None:
    """Pixels along the side of the marker, the median of several, or None where none is seen.

    It is the root of the area, which a marker that is seen a little from the side changes less than its sides.
    """
    import cv2  # noqa: PLC0415 - the extra `aruco`

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50))
    corners, _, _ = detector.detectMarkers(grey)
    if not len(corners):
        return None
    return float(np.median([_area(_refined(grey, found.reshape(4, 2).astype(np.float64))) ** 0.5 for found in corners]))


def _refined(grey: UInt8[np.ndarray, "height width"], corners: Corners) -> Corners:
    """The corners of the black square itself: OpenCV's are those of the centres of its outermost pixels."""
    size = _area(corners) ** 0.5
    for _ in range(_ROUNDS):
        # Half of the black rim at most, so that the pattern's edges stay out; wide where a large marker is blurred.
        reach = min(size / (2 * _CELLS), max(_REACH, size / 40))
        edges = [_edge(grey, *ends, corners.mean(axis=0), reach) for ends in _sides(corners)]
        found = np.stack([_crossing(edges[side - 1], edges[side]) for side in range(4)])
        if not np.abs(found - corners).max() <= 2 * reach:  # also where an edge is lost, and it is no number
            break
        corners = found
    return corners


def _edge(
    grey: UInt8[np.ndarray, "height width"], start: Point, end: Point, middle: Point, reach: float
) -> Float64[np.ndarray, "2 2"]:
    """Two points of the edge that lies within `reach` pixels of the line between two corners.

    Where it is follows from the brightness across it: the mean place of the change, weighted by how much changes there,
    which neither blur nor the pixels' grid moves.
    """
    along = (end - start) / np.hypot(*(end - start))
    outward = np.array([along[1], -along[0]])
    outward *= np.sign(outward @ (start - middle))
    # Away from the corners, where the other sides blur into this one.
    places = np.linspace(0.15, 0.85, _PARTS * max(4, int(np.hypot(*(end - start)))))
    across = np.arange(-2 * reach, 2 * reach + _STEP / 2, _STEP)
    points = start + places[:, None, None] * (end - start) + across[:, None] * outward
    rows_columns = points[..., ::-1].transpose(2, 0, 1)
    brightness = ndimage.map_coordinates(grey, rows_columns, np.float64, order=1, mode="nearest")
    change = np.diff(brightness.reshape(_PARTS, -1, len(across)).mean(axis=1), axis=1)
    between = (across[1:] + across[:-1]) / 2
    common = _centre(change.sum(axis=0), between, 0.0, reach)
    offsets = [_centre(part, between, common, reach) for part in change]
    slope, first = np.polyfit(places.reshape(_PARTS, -1).mean(axis=1), offsets, 1)
    return np.stack([start + first * outward, end + (first + slope) * outward])


def _centre(
    change: Float64[np.ndarray, "places"], places: Float64[np.ndarray, "places"], guess: float, reach: float
) -> float:
    """Mean place of the change within `reach` of itself."""
    for _ in range(_ROUNDS):
        inside = np.clip(1 - (np.abs(places - guess) - reach) / _STEP, 0, 1) * np.maximum(change, 0)
        guess = float((inside * places).sum() / max(inside.sum(), 1e-9))
    return guess


def _sides(corners: Corners) -> list[tuple[Point, Point]]:
    return list(zip(corners, np.roll(corners, -1, axis=0), strict=True))


def _crossing(one: Float64[np.ndarray, "2 2"], other: Float64[np.ndarray, "2 2"]) -> Point:
    """Where the lines through two pairs of points meet."""
    directions = np.stack([one[1] - one[0], other[0] - other[1]], axis=1)
    return one[0] + np.linalg.solve(directions, other[0] - one[0])[0] * (one[1] - one[0])


def _area(corners: Corners) -> float:
    """Of the quadrilateral, by the shoelace formula."""
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
