"""The VGG Image Annotator's JSON in its versions: shapes, attributes, and what can be wrong with them."""

import numpy as np

from spotrust_jax.data.prepare.readers import read_source
from tests.data.prepare.readers.label_writers import FORMATS, Photograph, Shape

SQUARE = np.pad(np.ones((3, 3), bool), ((1, 2), (2, 3)))
POLYGON = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [1, 1, 4, 4]}


def label_json(shape=POLYGON, attributes=None, **images):
    region = {"shape_attributes": shape, "region_attributes": attributes or {"class": "rust"}}
    files = {"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": [region], "file_attributes": {}}}
    return files | images


def read(tmp_path, put, content, **options):
    put("a.jpg")
    put("via.json", content)
    source = read_source(tmp_path, **options)
    assert (source.format, source.findings) == ("via", ())
    return source.photographs[0].label.read(6, 8).mask


def test_shapes(tmp_path, put):
    np.testing.assert_array_equal(read(tmp_path, put, label_json()), SQUARE)
    rectangle = {"name": "rect", "x": 2, "y": 1, "width": 3, "height": 3}
    np.testing.assert_array_equal(read(tmp_path, put, label_json(rectangle)), SQUARE)
    y, x = np.mgrid[:6, :8] + 0.5
    circle = {"name": "circle", "cx": 4, "cy": 3, "r": 2}
    np.testing.assert_array_equal(read(tmp_path, put, label_json(circle)), np.hypot(x - 4, y - 3) < 2)
    ellipse = {"name": "ellipse", "cx": 4, "cy": 3, "rx": 1.2, "ry": 3.2, "theta": np.pi / 2}
    inside = ((x - 4) / 3.2) ** 2 + ((y - 3) / 1.2) ** 2 < 1
    np.testing.assert_array_equal(read(tmp_path, put, label_json(ellipse)), inside)


def test_versions(tmp_path, put):
    project = {"_via_settings": {}, "_via_img_metadata": label_json(), "_via_attributes": {}}
    np.testing.assert_array_equal(read(tmp_path, put, project), SQUARE)
    first = label_json()
    first["a.jpg123"]["regions"] = {"0": first["a.jpg123"]["regions"][0]}
    np.testing.assert_array_equal(read(tmp_path, put, first), SQUARE)


def test_third_version(tmp_path):
    photograph = Photograph(1, 6, 8, [Shape("rust", [(2, 1), (5, 1), (5, 4), (2, 4)])], np.zeros((6, 8), bool))
    FORMATS["via 3"][0](tmp_path, [photograph])
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("via", ())
    np.testing.assert_array_equal(source.photographs[0].label.read(6, 8).mask, SQUARE)


def test_classes_are_the_values_of_attributes(tmp_path, put):
    ticked = label_json(attributes={"kind": {"rust": True, "paint": False}, "note": "", "level": "high"})
    np.testing.assert_array_equal(read(tmp_path, put, ticked), SQUARE)
    np.testing.assert_array_equal(read(tmp_path, put, ticked, corrosion_classes=("HIGH",)), SQUARE)


def test_everything_that_is_wrong(tmp_path, put, names, found):
    good, regions = label_json(), {}
    regions["line"] = {"shape_attributes": {"name": "polyline"}, "region_attributes": {"class": "rust"}}
    regions["nameless"] = {"shape_attributes": POLYGON, "region_attributes": {"class": ""}}
    regions["odd"] = {"shape_attributes": POLYGON | {"all_points_x": [1]}, "region_attributes": {"class": "rust"}}
    regions["shapeless"] = {"region_attributes": {"class": "rust"}}
    for name, region in regions.items():
        put(f"{name}.jpg")
        good[name] = {"filename": f"{name}.jpg", "regions": [region]}
    good["absent"] = {"filename": "absent.jpg", "regions": []}
    put("unlisted.jpg")
    put("a.jpg")
    put("via.json", good)
    put("other.json", {"x": 1})
    source = read_source(tmp_path)
    assert names(source) == ["a"]
    assert found(source.findings) == [
        ("missing_image", "absent.jpg", True),
        ("polygon", "line.jpg", True),
        ("unknown_class", "nameless.jpg", True),
        ("unreadable_label", "odd.jpg", True),
        ("unreadable_label", "other.json", True),
        ("unreadable_label", "shapeless.jpg", True),
        ("missing_mask", "unlisted.jpg", True),
    ]
