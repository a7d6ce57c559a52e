"""Where a photograph was taken: GPS position from EXIF, and the georeference of a GeoTIFF."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tifffile
from jaxtyping import Float64
from PIL import ExifTags, Image

from spotrust_jax.io.images import without_pillow_limit

_UPRIGHT = 1
_TIFF = (".tif", ".tiff")
# Keys and tags of GeoTIFF 1.1 by tifffile's names, and values.
_GEOGRAPHIC, _PROJECTED = "GeographicTypeGeoKey", "ProjectedCSTypeGeoKey"
_TIES = (("ModelPixelScaleTag", "ModelTiepointTag"), ("ModelTransformationTag",))
_PROJECTED_MODEL, _GEOGRAPHIC_MODEL, _DEGREE = 1, 2, 9102
# Numbers below are not EPSG's, and the last one stands for a system that the file describes itself.
_FIRST_EPSG, _USER_DEFINED = 1024, 32767
# The raster type in which coordinates are those of the pixels' centres.
_PIXEL_IS_POINT = 2
_WGS84 = 4326
_WGS84_NAMES = ("WGS84", "WGS1984")


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
        epsg: number of the coordinate system.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    epsg: int

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
        return None if self.epsg == _WGS84 else f"urn:ogc:def:crs:EPSG::{self.epsg}"


class Place(NamedTuple):
    """Where a photograph was taken.

    Attributes:
        position: of the camera, where it is known.
        reference: of the photograph's pixels, where it is known.
        note: why one of them is not, although the file has data for it.
    """

    position: Position | None
    reference: Georeference | None
    note: str


_Read = TypeVar("_Read")


def read_place(path: Path) -> Place:
    """Camera's position and georeference of a photograph; of neither it is believed what the file does not say."""
    position, no_position = _believed(_read_position, path, "position")
    reference, no_reference = _believed(_read_georeference, path, "georeference")
    return Place(position, reference, "; ".join(filter(None, (no_position, no_reference))))


def _believed(read: Callable[[Path], _Read], path: Path, what: str) -> tuple[_Read | None, str]:
    """What is read, or why it is not."""
    try:
        return read(path), ""
    except _UnknownError as error:
        return None, f"no {what}: {error}"
    except Exception:  # on damaged metadata Pillow raises nearly anything; they are no reason to lose the photograph
        return None, ""


class _UnknownError(Exception):
    """There are data that cannot be trusted; why, in words."""


def _read_position(path: Path) -> Position | None:
    with without_pillow_limit, Image.open(path) as image:
        tags = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    if ExifTags.GPS.GPSLatitude not in tags or ExifTags.GPS.GPSLongitude not in tags:
        return None
    if _letters(tags, ExifTags.GPS.GPSStatus, "A") == "V":
        raise _UnknownError("the receiver marked it as void")
    datum = _letters(tags, ExifTags.GPS.GPSMapDatum, "WGS-84")
    if datum.upper().replace(" ", "").replace("-", "") not in _WGS84_NAMES:
        raise _UnknownError(f"its datum is {datum!r}, not WGS 84")
    latitude = _degrees(tags, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90)
    longitude = _degrees(tags, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180)
    if latitude == longitude == 0:
        raise _UnknownError("it is 0, 0, which receivers write that have none")
    return Position(latitude, longitude, _altitude(tags))


def _read_georeference(path: Path) -> Georeference | None:
    """That of a GeoTIFF."""
    if path.suffix.lower() not in _TIFF:
        return None
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        keys, turn = page.geotiff_tags or {}, page.tags.valueof("Orientation", _UPRIGHT)
        size, tied = (page.imagewidth, page.imagelength), any(all(tag in page.tags for tag in tie) for tie in _TIES)
    if tied and not keys:
        raise _UnknownError("its coordinate system has no EPSG number")
    matrix = _matrix(keys)
    if matrix is None:
        if keys:
            raise _UnknownError("the file ties no pixel to the ground by a scale or a matrix")
        return None
    if turn != _UPRIGHT:
        raise _UnknownError("the photograph is stored turned")
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:, :2]) == 0:
        raise _UnknownError("its pixels have no size on the ground")
    if keys.get("GTRasterTypeGeoKey") == _PIXEL_IS_POINT:
        matrix[:, 2] -= matrix[:, :2] @ (0.5, 0.5)
    (a, b, c), (d, e, f) = matrix.tolist()
    reference = Georeference(((a, b, c), (d, e, f)), _system(keys))
    if _is_geographic(keys):
        corners = reference(np.array([(x, y) for x in (0, size[0]) for y in (0, size[1])], np.float64))
        if (np.abs(corners) > (180, 90)).any():
            raise _UnknownError(f"EPSG {reference.epsg} is in degrees, and the coordinates are not")
    return reference


def _system(keys: Mapping[str, Any]) -> int:
    """EPSG number of the coordinate system; the system below a projection is not that of the coordinates."""
    model = keys.get("GTModelTypeGeoKey", _GEOGRAPHIC_MODEL if _is_geographic(keys) else _PROJECTED_MODEL)
    if model not in (_PROJECTED_MODEL, _GEOGRAPHIC_MODEL):
        raise _UnknownError(f"its model type {int(model)} is neither projected nor geographic")
    epsg = keys.get(_GEOGRAPHIC if model == _GEOGRAPHIC_MODEL else _PROJECTED)
    if epsg is None or not _FIRST_EPSG <= epsg < _USER_DEFINED:
        raise _UnknownError("its coordinate system has no EPSG number")
    if model == _GEOGRAPHIC_MODEL and keys.get("GeogAngularUnitsGeoKey", _DEGREE) != _DEGREE:
        raise _UnknownError("its coordinates are not in degrees")
    return int(epsg)


def _is_geographic(keys: Mapping[str, Any]) -> bool:
    if "GTModelTypeGeoKey" in keys:
        return keys["GTModelTypeGeoKey"] == _GEOGRAPHIC_MODEL
    return _GEOGRAPHIC in keys and _PROJECTED not in keys


def _letters(tags: Mapping[int, Any], tag: int, default: str) -> str:
    """A text of EXIF without the zeros that end it; what is empty counts as not there."""
    value = tags.get(tag, "")
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ") or default


def _degrees(tags: Mapping[int, Any], tag: int, letter: int, letters: str, most: int) -> float:
    degrees, minutes, seconds = map(float, tags[tag])
    value = degrees + minutes / 60 + seconds / 3600
    hemisphere = _letters(tags, letter, "missing")
    if hemisphere not in tuple(letters):
        raise _UnknownError(f"its hemisphere is {hemisphere!r}, neither {letters[0]} nor {letters[1]}")
    if not (0 <= value <= most and minutes >= 0 and seconds >= 0):
        raise _UnknownError(f"it is {value:g} degrees {hemisphere}")
    return -value if hemisphere == letters[1] else value


def _altitude(tags: Mapping[int, Any]) -> float | None:
    value = tags.get(ExifTags.GPS.GPSAltitude)
    if value is None or not math.isfinite(float(value)):
        return None
    below = tags.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01")
    return -float(value) if below else float(value)


def _matrix(keys: Mapping[str, Any]) -> np.ndarray | None:
    """The file's own, else that of the first point that is tied to the ground, with the size of a pixel."""
    if "ModelTransformation" in keys:
        return np.array(keys["ModelTransformation"], np.float64)[:2, [0, 1, 3]]
    if "ModelPixelScale" not in keys or "ModelTiepoint" not in keys:
        return None
    (wide, high), point = keys["ModelPixelScale"][:2], np.ravel(keys["ModelTiepoint"])
    column, row, _, east, north = point[:5].tolist()
    return np.array([[wide, 0.0, east - column * wide], [0.0, -high, north + row * high]])
