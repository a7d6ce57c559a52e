"""Tables of regions against the maps they come from, read by pycocotools and geojson."""

import csv
import dataclasses
import json

import geojson
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import ndimage

from spotrust_jax.errors import InputError
from spotrust_jax.inference import scale_marker, survey
from spotrust_jax.inference.geography import Georeference, read_georeference, read_position
from spotrust_jax.inference.survey import Survey
from spotrust_jax.report.publish import publish
from tests.report.surveys import MODEL, job_of, surveyed, write_photographs


def area_of(ring):
    """Shoelace formula: above 0 counter-clockwise."""
    x, y = np.array(ring).T
    return (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2


def check_geojson(collection):
    """A validator's opinion, and what RFC 7946 asks beyond it of a collection of polygons."""
    read = geojson.loads(json.dumps(collection))
    assert read.is_valid, read.errors()
    assert collection["type"] == "FeatureCollection" and isinstance(collection["features"], list)
    for feature in collection["features"]:
        assert feature["type"] == "Feature" and isinstance(feature["properties"], dict)
        assert feature["geometry"]["type"] == "Polygon"
        for number, ring in enumerate(feature["geometry"]["coordinates"]):
            assert len(ring) >= 4 and ring[0] == ring[-1]
            assert all(len(point) == 2 and np.isfinite(point).all() for point in ring)
            assert (area_of(ring) > 0) == (number == 0)


def masks_of(source, rows):
    images = {row.outputs: np.asarray(Image.open(row.photograph).convert("RGB")) for row in rows}
    return {name: image[..., 0] / np.float32(255) >= np.float32(0.5) for name, image in images.items()}


@pytest.fixture
def published(tmp_path):
    write_photographs(tmp_path / "in", ["a.png", "below/b.png", "c.png"])
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "in" / "clean.png")
    rows = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    publish(tmp_path / "out", rows, MODEL)
    return tmp_path / "out", rows, masks_of(tmp_path / "in", rows)


def test_tables_agree_with_the_maps_to_the_last_pixel(published):
    output, rows, masks = published
    table = list(csv.DictReader((output / "regions.csv").open(encoding="utf-8")))
    for row in rows:
        mask = masks[row.outputs]
        lines = [line for line in table if line["outputs"] == row.outputs]
        count = ndimage.label(mask)[1]
        assert len(lines) == count == row.regions
        assert sum(int(line["pixels"]) for line in lines) == mask.sum()
        picture = np.asarray(Image.open(output / f"{row.outputs}_mask.png"))
        np.testing.assert_array_equal(picture.any(axis=-1), mask)
        assert row.corroded_fraction == mask.mean()
        features = json.loads((output / f"{row.outputs}_regions.geojson").read_text())
        check_geojson(features)
        areas = [
            area_of(f["geometry"]["coordinates"][0]) + sum(map(area_of, f["geometry"]["coordinates"][1:]))
            for f in features["features"]
        ]
        assert areas == [int(line["pixels"]) for line in lines]


def test_coco_loads_and_has_the_masks(published, capsys):
    output, rows, masks = published
    coco = COCO(str(output / "regions_coco.json"))
    assert len(coco.getImgIds()) == len(rows)
    for image in coco.loadImgs(coco.getImgIds()):
        row = next(row for row in rows if row.photograph == image["file_name"])
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        mask = masks[row.outputs]
        joined = np.zeros(mask.shape, int)
        for annotation in annotations:
            here = coco.annToMask(annotation)
            joined += here
            assert annotation["area"] == here.sum()
            assert coco_mask.toBbox(coco.annToRLE(annotation)).tolist() == annotation["bbox"]
        np.testing.assert_array_equal(joined, mask)


def test_scale_and_smallest_region(tmp_path):
    write_photographs(tmp_path / "in", ["a.png"])
    every = surveyed(tmp_path / "in", job_of(tmp_path / "all"))[0]
    asked = Survey(millimetres_per_pixel=2.0, smallest_square_millimetres=401.0)
    (row,) = surveyed(tmp_path / "in", job_of(tmp_path / "out", survey=asked))
    mask = masks_of(tmp_path / "in", [row])[row.outputs]
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    assert row.regions == (sizes >= 101).sum() < every.regions
    assert row.corroded_square_millimetres == 4 * mask.sum() and every.corroded_square_millimetres is None
    lines, _ = survey.read_regions(tmp_path / "out", "a")
    assert [line.square_millimetres for line in lines] == sorted((4.0 * sizes[sizes >= 101]).tolist(), reverse=True)


def test_marker_shows_the_scale(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install 'spotrust-jax[aruco]'")
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    image = np.full((300, 400, 3), 255, np.uint8)
    image[50:170, 60:180] = cv2.aruco.generateImageMarker(dictionary, 7, 120)[..., None]
    assert scale_marker.millimetres_per_pixel(image, 60.0) == pytest.approx(0.5, rel=0.02)
    assert scale_marker.millimetres_per_pixel(np.zeros((50, 50, 3), np.uint8), 60.0) is None
    assert Survey(marker_millimetres=60.0, millimetres_per_pixel=3.0).scale(np.zeros((50, 50, 3), np.uint8)) == 3.0


def test_marker_without_opencv_says_what_to_install(monkeypatch):
    monkeypatch.setattr(scale_marker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'spotrust-jax\[aruco\]'"):
        scale_marker.require_marker_reader()


def geotiff(path, image, *, epsg, key=3072, matrix=None, raster_type=1):
    """Pixels of half a unit from (1000, 5000), north up, or by a matrix."""
    directory = (1, 1, 0, 2, 1025, 0, 1, raster_type, key, 0, 1, epsg)
    tags = [(34735, "H", len(directory), directory, True)]
    if matrix is None:
        tags += [(33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 1000.0, 5000.0, 0.0), True)]
    else:
        tags += [(34264, "d", 16, tuple(np.ravel(matrix)), True)]
    tifffile.imwrite(path, image, photometric="rgb", extratags=tags)


def test_georeference_is_kept(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.zeros((30, 40, 3), np.uint8)
    image[10:20, 4:12] = 255
    geotiff(tmp_path / "in" / "a.tif", image, epsg=32633)
    surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    collection = json.loads((tmp_path / "out" / "a_regions.geojson").read_text())
    check_geojson(collection)
    assert collection["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    (ring,) = collection["features"][0]["geometry"]["coordinates"]
    assert {tuple(point) for point in ring} == {(1002, 4995), (1006, 4995), (1006, 4990), (1002, 4990)}


def test_georeference_by_matrix_and_by_centres(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    geotiff(
        tmp_path / "a.tif", image, epsg=4326, key=2048, matrix=[[0, 2, 0, 10], [3, 0, 0, 20], [0] * 4, [0, 0, 0, 1]]
    )
    found = read_georeference(tmp_path / "a.tif")
    assert found == Georeference(((0.0, 2.0, 10.0), (3.0, 0.0, 20.0)), 4326) and found.crs is None
    np.testing.assert_array_equal(found(np.array([[1.0, 2.0]])), [[14, 23]])
    geotiff(tmp_path / "b.tif", image, epsg=32633, raster_type=2)
    np.testing.assert_array_equal(read_georeference(tmp_path / "b.tif")(np.array([[0.5, 0.5]])), [[1000, 5000]])
    Image.fromarray(image).save(tmp_path / "c.tif")
    assert read_georeference(tmp_path / "c.tif") is None
    (tmp_path / "d.tif").write_bytes(b"II*\0damaged")
    assert read_georeference(tmp_path / "d.tif") is None


def test_position_of_the_camera(tmp_path):
    (tmp_path / "in").mkdir()
    image = Image.fromarray(np.full((40, 40, 3), 200, np.uint8))
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {1: "S", 2: (33.0, 51.0, 30.0), 3: "E", 4: (151.0, 12.0, 36.0), 5: b"\x01", 6: 7.5}
    )
    image.save(tmp_path / "in" / "a.jpg", exif=exif)
    image.save(tmp_path / "in" / "b.jpg")
    found = read_position(tmp_path / "in" / "a.jpg")
    np.testing.assert_allclose(dataclasses.astuple(found), (-33.858333, 151.21, -7.5), atol=1e-6)
    rows = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    publish(tmp_path / "out", rows, MODEL)
    assert rows[0].latitude == pytest.approx(-33.858333, abs=1e-6) and rows[1].latitude is None
    lines = list(csv.DictReader((tmp_path / "out" / "regions.csv").open(encoding="utf-8")))
    assert [bool(line["longitude"]) for line in lines] == [True, False]


def test_large_photographs_leave_their_labels_on_disk(tmp_path, monkeypatch):
    write_photographs(tmp_path / "in", ["a.png"])
    one = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    monkeypatch.setattr(survey, "_LARGE", 100)
    other = surveyed(tmp_path / "in", job_of(tmp_path / "disk"))
    assert [dataclasses.asdict(row) for row in one] == [dataclasses.asdict(row) for row in other]
    for name in ("a_regions.geojson", ".report/a.js", ".report/a.regions.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "disk" / name).read_bytes()


@pytest.mark.parametrize(
    "matrix", [[[2, 0, 0, 10], [0, 2, 0, 20]], [[0, 2, 0, 10], [2, 0, 0, 20]], [[0, -2, 0, 1], [2, 0, 0, 2]]]
)
def test_rings_turn_the_right_way_on_any_ground(tmp_path, matrix):
    (tmp_path / "in").mkdir()
    image = np.zeros((30, 40, 3), np.uint8)
    image[5:20, 4:22] = 255
    image[8:12, 8:12] = 0
    geotiff(tmp_path / "in" / "a.tif", image, epsg=32633, matrix=[*matrix, [0] * 4, [0, 0, 0, 1]])
    surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    collection = json.loads((tmp_path / "out" / "a_regions.geojson").read_text())
    check_geojson(collection)
    assert len(collection["features"][0]["geometry"]["coordinates"]) == 2
