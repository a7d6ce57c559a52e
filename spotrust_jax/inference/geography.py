"""Where a photograph was taken: GPS position from EXIF, and the georeference of a GeoTIFF."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from PIL import ExifTags, Image

from spotrust_jax.data.images import orientation, without_pillow_limit

_UPRIGHT = 1
_TIFF = (".tif", ".tiff")
# Tags of GeoTIFF 1.1: degrees or the projection's units for each pixel, points tied to the ground, the whole matrix.
_PIXEL_SCALE, _TIEPOINTS, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072
# The raster type in which coordinates are those of the pixels' centres.
_PIXEL_IS_POINT = 2
_WGS84 = 4326


@dataclasses.dataclass(frozen=True)
class Position:
    """Degrees north and east (WGS 84), and metres above sea level where the camera knew them."""

    latitude: float
    longitude: float
    altitude: float | None = None


@dataclasses.dataclass(frozen=True)
class Georeference:
    """From pixels to the ground.

    Attributes:
        matrix: two rows of (x, y, 1) from the photograph's upper left corner to east and north.
        epsg: number of the coordinate system, where the file gives one.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    epsg: int | None

    def __call__(self, points: Float64[np.ndarray, "_ 2"]) -> Float64[np.ndarray, "_ 2"]:
        """Points x, y in pixels in the units of the coordinate system."""
        matrix = np.array(self.matrix)
        return points @ matrix[:, :2].T + matrix[:, 2]

    @property
    def mirrored(self) -> bool:
        """Whether what is clockwise on the photograph is counter-clockwise on the ground, as where north is up."""
        (a, b, _), (c, d, _) = self.matrix
        return a * d < b * c

    @property
    def crs(self) -> str | None:
        """The system's name as GeoJSON wants it where it is not that of GeoJSON itself, longitude and latitude."""
        return None if self.epsg in (None, _WGS84) else f"urn:ogc:def:crs:EPSG::{self.epsg}"


def read_position(path: Path) -> Position | None:
    """The camera's position, or None where the file has none that makes sense."""
    try:
        with without_pillow_limit, Image.open(path) as image:
            tags = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(tags[ExifTags.GPS.GPSLatitude], tags[ExifTags.GPS.GPSLatitudeRef], "S")
        longitude = _degrees(tags[ExifTags.GPS.GPSLongitude], tags[ExifTags.GPS.GPSLongitudeRef], "W")
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            return None
        return Position(latitude, longitude, _altitude(tags))
    except Exception:  # damaged metadata, on which Pillow raises nearly anything, are no reason to lose the photograph
        return None


def read_georeference(path: Path) -> Georeference | None:
    """That of a GeoTIFF, or None where the file has none or is not stored upright."""
    if path.suffix.lower() not in _TIFF:
        return None
    try:
        with without_pillow_limit, Image.open(path) as image:
            tags, turn = image.tag_v2, orientation(image)
            keys = _geo_keys(tags.get(_KEYS, ()))
            matrix = _matrix(tags)
        if turn != _UPRIGHT or matrix is None:
            return None
        if keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT:
            matrix[:, 2] -= matrix[:, :2] @ (0.5, 0.5)
        epsg = keys.get(_PROJECTED, keys.get(_GEOGRAPHIC))
        # 32767 stands for a system that the file describes itself.
        known = epsg if epsg is not None and epsg < 32767 else None
        return Georeference(tuple(map(tuple, matrix.tolist())), known) if np.isfinite(matrix).all() else None
    except Exception:  # as above
        return None


def _degrees(parts: tuple, reference: str, negative: str) -> float:
    degrees, minutes, seconds = map(float, parts)
    value = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(value):
        raise ValueError("no number")
    return -value if reference == negative else value


def _altitude(tags: Mapping[int, Any]) -> float | None:
    value = tags.get(ExifTags.GPS.GPSAltitude)
    if value is None or not math.isfinite(float(value)):
        return None
    below = tags.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    return -float(value) if below else float(value)


def _geo_keys(directory: tuple[int, ...]) -> dict[int, int]:
    """Numbers that stand in the directory itself."""
    entries = np.array(directory[4:], np.int64).reshape(-1, 4)
    return {int(key): int(value) for key, location, _, value in entries if location == 0}


def _matrix(tags: Mapping[int, Any]) -> np.ndarray | None:
    if _MATRIX in tags:
        return np.array(tags[_MATRIX], np.float64).reshape(4, 4)[:2, [0, 1, 3]]
    if _PIXEL_SCALE not in tags or _TIEPOINTS not in tags:
        return None
    (wide, high), (column, row, _, east, north) = tags[_PIXEL_SCALE][:2], tags[_TIEPOINTS][:5]
    return np.array([[wide, 0.0, east - column * wide], [0.0, -high, north + row * high]])
