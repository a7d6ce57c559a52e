"""Regions for other programs: a GeoJSON for each photograph, a CSV and a COCO data set for all of them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Int32
from numpy import ndarray

from spotrust_jax.io.atomic_files import atomic_file, write_atomically
from spotrust_jax.io.csv_tables import csv_text
from spotrust_jax.outputs.geography import Georeference, Place
from spotrust_jax.outputs.outlines import Outline, outlines, run_lengths
from spotrust_jax.outputs.regions import Regions
from spotrust_jax.outputs.summary import Row


class Region(NamedTuple):
    """A region's line in the tables.

    Attributes:
        region: its number in its photograph, the largest first, from 1.
        pixels: its area.
        square_millimetres: the same where the scale is known.
        left, top, width, height: the smallest box around it, in pixels.
        mean_probability, mean_epistemic: over its pixels.
    """

    region: int
    pixels: int
    square_millimetres: float | None
    left: int
    top: int
    width: int
    height: int
    mean_probability: float
    mean_epistemic: float


def region_lines(regions: Regions, millimetres: float | None) -> list[Region]:
    """The lines of a photograph whose pixels are so many millimetres wide and high, where that is known."""
    lines = []
    for number, (area, box) in enumerate(zip(regions.areas.tolist(), regions.boxes.tolist(), strict=True)):
        top, left, bottom, right = box
        square = None if millimetres is None else area * millimetres**2
        means = float(regions.mean_probability[number]), float(regions.mean_epistemic[number])
        lines.append(Region(number + 1, area, square, left, top, right - left, bottom - top, *means))
    return lines


def compressed_regions(regions: Regions) -> list[str]:
    """COCO's run lengths of each region."""
    return run_lengths(regions.labels, len(regions.areas))


def write_geojson(path: Path, labels: Int32[ndarray, "height width"], lines: Sequence[Region], place: Place) -> None:
    """A polygon for each region (RFC 7946), along the sides of its pixels.

    Coordinates are those of the ground where there is a georeference, else pixels from the upper left corner, x to the
    right and y downwards. Another system than longitude and latitude is named in `crs`, as GDAL and QGIS read it. The
    member `note` says why a georeference was not taken.
    """
    reference = place.reference
    drawn = outlines(labels, len(lines))
    features = [_feature(line, outline, reference) for line, outline in zip(lines, drawn, strict=True)]
    crs = reference.crs if reference else None
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    units = "ground" if reference else "pixels"
    noted = {"note": place.note} if place.note else {}
    head = {"type": "FeatureCollection", "coordinates": units, **noted, **named}
    write_atomically(path, json.dumps({**head, "features": features}))


def write_csv(path: Path, photographs: Iterable[tuple[Row, Sequence[Region]]]) -> None:
    """One line for each region of all photographs."""
    place = ("latitude", "longitude", "altitude")
    rows = (
        [row.photograph, row.outputs, *line, *(getattr(row, name) for name in place)]
        for row, lines in photographs
        for line in lines
    )
    write_atomically(path, csv_text(["photograph", "outputs", *Region._fields, *place], rows))


def write_coco(path: Path, photographs: Iterable[tuple[Row, Sequence[Region], Sequence[str]]]) -> None:
    """One data set of all photographs, an annotation with run lengths for each region; `photographs` are gone through.

    The file is written as they come, so that many photographs take no more memory than one.
    """
    images, count = [], 0
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "Corroded regions"}, ')
        file.write('"categories": [{"id": 1, "name": "corrosion", "supercategory": "damage"}], "annotations": [')
        for number, (row, lines, runs) in enumerate(photographs, 1):
            image = {"id": number, "file_name": row.photograph, "width": row.width, "height": row.height}
            if row.latitude is not None:
                image |= {"latitude": row.latitude, "longitude": row.longitude}
            images.append(image)
            for line, run in zip(lines, runs, strict=True):
                count += 1
                file.write(",\n" * (count > 1) + json.dumps(_annotation(count, image, line, run)))
        file.write(f'], "images": {json.dumps(images)}}}\n')


def _annotation(number: int, image: dict, line: Region, run: str) -> dict:
    return {
        "id": number,
        "image_id": image["id"],
        "category_id": 1,
        "iscrowd": 0,
        "area": line.pixels,
        "bbox": [line.left, line.top, line.width, line.height],
        "segmentation": {"size": [image["height"], image["width"]], "counts": run},
        "score": line.mean_probability,
        "mean_epistemic": line.mean_epistemic,
    }


def _feature(line: Region, outline: Outline, reference: Georeference | None) -> dict:
    rings = []
    for number, ring in enumerate((outline.exterior, *outline.holes)):
        points = (ring if reference is None else reference(ring)).tolist()
        # The outer ring counter-clockwise on axes to the right and upwards, holes clockwise. With y downwards that is
        # clockwise for the eye, as all rings come; where the ground is not a mirror image of the photograph they turn.
        if (number == 0) != (reference is None or not reference.mirrored):
            points.reverse()
        rings.append([*points, points[0]])
    geometry = {"type": "Polygon", "coordinates": rings}
    return {"type": "Feature", "id": line.region, "geometry": geometry, "properties": line._asdict()}
