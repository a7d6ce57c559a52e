"""The scale of a photograph from ArUco markers of known size in it."""

import importlib.util

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.errors import InputError


def require_marker_reader() -> None:
    """An `InputError` where OpenCV is not installed."""
    if importlib.util.find_spec("cv2") is None:
        raise InputError("markers are found by OpenCV, which is not installed: pip install 'spotrust-jax[aruco]'")


def millimetres_per_pixel(image: UInt8[np.ndarray, "height width 3"], marker_millimetres: float) -> float | None:
    """Millimetres on the surface for each pixel, or None where no marker is seen.

    Markers are of ArUco's dictionary 4X4_50, black sides of `marker_millimetres`, and lie flat on the surface, which
    the camera faces. Of several the median counts.
    """
    import cv2  # noqa: PLC0415 - the extra `aruco`

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50))
    corners, _, _ = detector.detectMarkers(grey)
    if not len(corners):
        return None
    # Root of the area, which a marker that is seen a little from the side changes less than its sides.
    sides = [cv2.contourArea(found.reshape(-1, 2)) ** 0.5 for found in corners]
    return marker_millimetres / float(np.median(sides))
