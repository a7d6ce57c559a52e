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
from spotrust_jax.outputs import region_writer, scale_marker
from spotrust_jax.outputs.geography import Georeference, read_place
from spotrust_jax.outputs.region_writer import RegionWriter
from spotrust_jax.outputs.summary import Row, noted
from tests.report.surveys import MODEL, job_of, publish, surveyed, write_photographs


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
    asked = RegionWriter(millimetres_per_pixel=2.0, smallest_square_millimetres=401.0)
    (row,) = surveyed(tmp_path / "in", job_of(tmp_path / "out", writers=(asked,)))
    mask = masks_of(tmp_path / "in", [row])[row.outputs]
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    assert row.regions == (sizes >= 101).sum() < every.regions
    assert row.corroded_square_millimetres == 4 * mask.sum() and every.corroded_square_millimetres is None
    lines, _ = region_writer.read_regions(tmp_path / "out", "a")
    assert [line.square_millimetres for line in lines] == sorted((4.0 * sizes[sizes >= 101]).tolist(), reverse=True)


def test_marker_shows_the_scale(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install 'spotrust-jax[aruco]'")
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    image = np.full((300, 400, 3), 255, np.uint8)
    image[50:170, 60:180] = cv2.aruco.generateImageMarker(dictionary, 7, 120)[..., None]
    assert scale_marker.millimetres_per_pixel(image, 60.0) == pytest.approx(0.5, rel=0.001)
    assert scale_marker.millimetres_per_pixel(np.zeros((50, 50, 3), np.uint8), 60.0) is None
    assert RegionWriter(marker_millimetres=60.0, millimetres_per_pixel=3.0).scale(np.zeros((50, 50, 3), np.uint8)) == (
        3.0,
        "",
    )


def rendered_marker(side, angle, blur, noise, rng):
    """A marker of so many pixels, turned by degrees, as area sampling at 8 x 8 points a pixel shows it."""
    import cv2

    pattern = cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50), 7, 384)
    size, turn = int(1.8 * side) + 20, np.deg2rad(angle)
    places = (np.arange(8 * size) + 0.5) / 8 - size / 2
    x, y = np.meshgrid(places - rng.uniform(-0.5, 0.5), places - rng.uniform(-0.5, 0.5))
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    column, row = (np.floor((value / side + 0.5) * 384).astype(int) for value in (u, v))
    inside = (column >= 0) & (column < 384) & (row >= 0) & (row < 384)
    white = np.where(inside, pattern[row.clip(0, 383), column.clip(0, 383)] > 127, True)
    image = 20 + 200 * white.reshape(size, 8, size, 8).mean((1, 3))
    image = ndimage.gaussian_filter(image, blur) + rng.normal(0, noise, image.shape)
    return np.repeat(np.clip(np.rint(image), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("side", [40.0, 53.5, 80.0, 160.0])
@pytest.mark.parametrize(("blur", "noise"), [(0, 0), (0.7, 4), (1.5, 8)])
def test_areas_by_a_marker_are_right_to_one_percent(side, blur, noise):
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'spotrust-jax[aruco]'")
    rng = np.random.default_rng(0)
    for angle in (0, 7, 18, 45, 71, 90, 200):
        found = scale_marker.millimetres_per_pixel(rendered_marker(side, angle, blur, noise, rng), side)
        assert found**2 == pytest.approx(1, abs=0.01), angle


def test_small_marker_warns():
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'spotrust-jax[aruco]'")
    asked = RegionWriter(marker_millimetres=24.0)
    seen = asked.scale(rendered_marker(24, 10, 0.5, 2, np.random.default_rng(0)))
    assert seen.millimetres == pytest.approx(1, abs=0.02)
    assert seen.note.startswith("the marker is 24 pixels wide, below 40 areas may be off")
    assert not asked.scale(rendered_marker(60, 10, 0.5, 2, np.random.default_rng(0))).note


def test_marker_without_opencv_says_what_to_install(monkeypatch):
    monkeypatch.setattr(scale_marker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'spotrust-jax\[aruco\]'"):
        scale_marker.require_marker_reader()


def geotiff(path, image, *, epsg, key=3072, matrix=None, raster_type=1, more=()):
    """Pixels of half a unit from (1000, 5000), north up, or by a matrix."""
    keys = sorted([(1025, raster_type), (key, epsg), *more])
    directory = (1, 1, 0, len(keys), *(number for name, value in keys for number in (name, 0, 1, value)))
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
    found = read_place(tmp_path / "a.tif").reference
    assert found == Georeference(((0.0, 2.0, 10.0), (3.0, 0.0, 20.0)), 4326) and found.crs is None
    np.testing.assert_array_equal(found(np.array([[1.0, 2.0]])), [[14, 23]])
    geotiff(tmp_path / "b.tif", image, epsg=32633, raster_type=2)
    np.testing.assert_array_equal(read_place(tmp_path / "b.tif").reference(np.array([[0.5, 0.5]])), [[1000, 5000]])
    Image.fromarray(image).save(tmp_path / "c.tif")
    assert read_place(tmp_path / "c.tif").reference is None
    (tmp_path / "d.tif").write_bytes(b"II*\0damaged")
    assert read_place(tmp_path / "d.tif").reference is None


# Keys of GeoTIFF: 1024 the model type, 2048 the geographic and 3072 the projected system, 2054 the angular unit.
@pytest.mark.parametrize(
    ("epsg", "key", "more", "words"),
    [
        (32767, 3072, [(1024, 1), (2048, 4326)], "its coordinate system has no EPSG number"),
        (4269, 2048, [(1024, 1)], "its coordinate system has no EPSG number"),
        (32767, 2048, [(1024, 2)], "its coordinate system has no EPSG number"),
        (4269, 2048, [(1024, 2)], "EPSG 4269 is in degrees, and the coordinates are not"),
        (4326, 2048, [], "EPSG 4326 is in degrees, and the coordinates are not"),
        (4326, 2048, [(1024, 3)], "its model type 3 is neither projected nor geographic"),
        (4807, 2048, [(1024, 2), (2054, 9105)], "its coordinates are not in degrees"),
        (0, 3072, [(1024, 1)], "its coordinate system has no EPSG number"),
    ],
)
def test_ground_of_an_unknown_system_is_none(tmp_path, epsg, key, more, words):
    (tmp_path / "in").mkdir()
    image = np.zeros((30, 40, 3), np.uint8)
    image[10:20, 4:12] = 255
    geotiff(tmp_path / "in" / "a.tif", image, epsg=epsg, key=key, more=more)
    (row,) = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    assert row.position_note == f"no georeference: {words}"
    collection = json.loads((tmp_path / "out" / "a_regions.geojson").read_text())
    check_geojson(collection)
    assert collection["coordinates"] == "pixels" and "crs" not in collection and words in collection["note"]
    (ring,) = collection["features"][0]["geometry"]["coordinates"]
    assert {tuple(point) for point in ring} == {(4, 10), (12, 10), (12, 20), (4, 20)}


def test_ground_of_a_known_system_has_its_model_type(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    geotiff(tmp_path / "a.tif", image, epsg=32633, more=[(1024, 1), (2048, 4326)])
    assert read_place(tmp_path / "a.tif").reference.crs == "urn:ogc:def:crs:EPSG::32633"
    degrees = [[1e-5, 0, 0, -70], [0, -1e-5, 0, -33], [0] * 4, [0, 0, 0, 1]]
    geotiff(tmp_path / "b.tif", image, epsg=4269, key=2048, more=[(1024, 2), (2054, 9102)], matrix=degrees)
    assert read_place(tmp_path / "b.tif").reference.crs == "urn:ogc:def:crs:EPSG::4269"
    turned = [[0] * 4, [0] * 4, [0] * 4, [0, 0, 0, 1]]
    geotiff(tmp_path / "c.tif", image, epsg=32633, matrix=turned)
    assert read_place(tmp_path / "c.tif") == (None, None, "no georeference: its pixels have no size on the ground")


SYDNEY = {1: "S", 2: (33.0, 51.0, 30.0), 3: "E", 4: (151.0, 12.0, 36.0)}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)}, "it is 0, 0, which receivers write that have none"),
        ({1: "NS"}, "its hemisphere is 'NS', neither N nor S"),
        ({3: "EW"}, "its hemisphere is 'EW', neither E nor W"),
        ({1: "s"}, "its hemisphere is 's', neither N nor S"),
        ({1: "South"}, "its hemisphere is 'South', neither N nor S"),
        ({3: "O"}, "its hemisphere is 'O', neither E nor W"),
        ({1: ""}, "its hemisphere is 'missing', neither N nor S"),
        ({2: (93.0, 0.0, 0.0)}, "it is 93 degrees S"),
        ({4: (181.0, 0.0, 0.0)}, "it is 181 degrees E"),
        ({9: "V"}, "the receiver marked it as void"),
        ({18: "TOKYO"}, "its datum is 'TOKYO', not WGS 84"),
    ],
)
def test_position_that_is_not_known_is_none(tmp_path, tags, words):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(SYDNEY | tags)
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert read_place(tmp_path / "a.jpg") == (None, None, f"no position: {words}")


def test_position_with_all_that_cameras_add(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(SYDNEY | {1: "S\0", 9: "A", 18: "WGS-84 "})
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert read_place(tmp_path / "a.jpg").position.latitude == pytest.approx(-33.858333, abs=1e-6)


def test_notes_are_said_once():
    rows = [Row(f"{name}.jpg", name, position_note="no position: x" * (name != "b")) for name in "abc"]
    assert noted([*rows, Row("d.jpg", "d", scale_note="small")]) == [
        ("no position: x", "a.jpg", 2),
        ("small", "d.jpg", 1),
    ]


def test_position_of_the_camera(tmp_path):
    (tmp_path / "in").mkdir()
    image = Image.fromarray(np.full((40, 40, 3), 200, np.uint8))
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {1: "S", 2: (33.0, 51.0, 30.0), 3: "E", 4: (151.0, 12.0, 36.0), 5: b"\x01", 6: 7.5}
    )
    image.save(tmp_path / "in" / "a.jpg", exif=exif)
    image.save(tmp_path / "in" / "b.jpg")
    found = read_place(tmp_path / "in" / "a.jpg").position
    np.testing.assert_allclose(dataclasses.astuple(found), (-33.858333, 151.21, -7.5), atol=1e-6)
    rows = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    publish(tmp_path / "out", rows, MODEL)
    assert rows[0].latitude == pytest.approx(-33.858333, abs=1e-6) and rows[1].latitude is None
    lines = list(csv.DictReader((tmp_path / "out" / "regions.csv").open(encoding="utf-8")))
    assert [bool(line["longitude"]) for line in lines] == [True, False]


def test_large_photographs_leave_their_labels_on_disk(tmp_path, monkeypatch):
    write_photographs(tmp_path / "in", ["a.png"])
    one = surveyed(tmp_path / "in", job_of(tmp_path / "out"))
    monkeypatch.setattr(region_writer, "_LARGE", 100)
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
