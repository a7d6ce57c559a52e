"""labelme's JSON files: shapes, classes, and everything that can be wrong with them."""

import math

import numpy as np
import pytest

from spotrust_jax.data.readers import read_source
from spotrust_jax.errors import InputError

POINTS = [[2, 1], [5, 1], [5, 4], [2, 4]]
SQUARE = np.pad(np.ones((4, 4), bool), ((1, 1), (2, 2)))


def document(name="a.jpg", label="rust", points=POINTS, kind="polygon", **fields):
    shapes = [] if label is None else [{"label": label, "shape_type": kind, "points": points}]
    return {"shapes": shapes, "imagePath": name, "imageData": "aGVsbG8=", "imageHeight": 6, "imageWidth": 8} | fields


def masks(source):
    return {photograph.name: photograph.label.read(6, 8).mask for photograph in source.photographs}


def test_shapes(tmp_path, put):
    put("a.jpg")
    put("sub/b c.jpg")
    put("sub/é'\".jpg")
    put("labels/a.json", document("..\\a.jpg"))
    put("sub/b c.json", document("b c.jpg", points=[[5, 4], [2, 1]], kind="rectangle"))
    put("sub/é'\".json", document("é'\".jpg", label=None))
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("labelme", ())
    read = masks(source)
    np.testing.assert_array_equal(read["a"], SQUARE)
    np.testing.assert_array_equal(read["sub/b c"], SQUARE)
    assert not read["sub/é'\""].any()


def test_circle(tmp_path, put):
    put("a.jpg", np.zeros((100, 120, 3), np.uint8))
    circle = document(points=[[50, 40], [50, 70]], kind="circle", imageHeight=100, imageWidth=120)
    put("a.json", circle)
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    assert label.read(100, 120).mask.sum() == pytest.approx(math.pi * 30.5**2, rel=0.02)  # the outline belongs to it


def test_shapes_without_area(tmp_path, put, found):
    put("a.jpg")
    lines = document()
    lines["shapes"] += [{"label": "rust", "shape_type": "linestrip", "points": [[0, 0], [7, 5]]}]
    lines["shapes"] += [{"label": "paint", "shape_type": "point", "points": [[0, 0]]}]
    put("a.json", lines)
    source = read_source(tmp_path)
    assert found(source.findings) == [("polygon", "a.jpg", True)]
    assert "'linestrip'" in source.findings[0].message
    lines["shapes"][1]["label"] = "paint"  # what is background need not be drawn
    put("a.json", lines)
    source = read_source(tmp_path)
    assert source.findings == ()
    np.testing.assert_array_equal(masks(source)["a"], SQUARE)


def test_classes(tmp_path, put):
    put("a.jpg")
    several = document(label="Paint")
    several["shapes"] += [{"label": "light Rust", "points": [[0, 0], [0, 0], [0, 0]]}]
    put("a.json", several)
    expected = np.zeros((6, 8), bool)
    expected[0, 0] = True
    np.testing.assert_array_equal(masks(read_source(tmp_path))["a"], expected)
    np.testing.assert_array_equal(masks(read_source(tmp_path, corrosion_classes=("paint",)))["a"], SQUARE)
    both = read_source(tmp_path, corrosion_classes=("paint", " LIGHT rust"))
    np.testing.assert_array_equal(masks(both)["a"], SQUARE | expected)
    with pytest.raises(InputError, match="has no class 'corrosion', only Paint, light Rust: change"):
        read_source(tmp_path, corrosion_classes=("corrosion",))


def test_everything_that_is_wrong(tmp_path, put, names, found):
    put("elsewhere.jpg")
    for name in ("good", "unlabelled", "broken", "no list", "bad points", "mask", "nowhere"):
        put(f"set/{name}.jpg")
    put("set/good.json", document("good.jpg"))
    put("set/broken.json", '{"shapes": [')
    put("set/no list.json", {"shapes": 3, "imagePath": "no list.jpg"})
    put("set/bad points.json", document("bad points.jpg", points=[[1, 2], [3]]))
    put("set/mask.json", document("mask.jpg", kind="mask", points=POINTS[::2]))
    put("set/nowhere.json", document(""))
    put("set/absent.json", document("absent.jpg"))
    put("set/outside.json", document("../elsewhere.jpg"))
    put("set/list.json", [1])
    source = read_source(tmp_path / "set")
    assert names(source) == ["good"]
    assert found(source.findings) == [
        ("missing_image", "absent.json", True),
        ("unreadable_label", "bad points.jpg", True),
        ("unreadable_label", "broken.json", True),
        ("unreadable_label", "list.json", True),
        ("unreadable_label", "mask.jpg", True),
        ("unreadable_label", "no list.json", True),
        ("unreadable_label", "nowhere.json", True),
        ("outside_source", "outside.json", True),
        ("missing_mask", "unlabelled.jpg", True),
    ]


def test_photograph_that_was_moved_with_its_label(tmp_path, put, names):
    put("a.jpg")
    put("a.json", document("C:\\photos\\2021\\a.jpg"))
    put("b.jpg")
    put("b.json", document("/home/somebody/b.jpg"))
    assert names(read_source(tmp_path)) == ["a", "b"]


def test_photograph_that_is_labelled_twice(tmp_path, put, names, found):
    put("a.jpg")
    put("a.json", document())
    put("copy/a.json", document("../a.jpg"))
    source = read_source(tmp_path)
    assert names(source) == []
    assert found(source.findings) == [("duplicate_name", "a.jpg", True)]
    assert "labelled more than once" in source.findings[0].message


def test_no_files_at_all(tmp_path, put):
    put("a.jpg")
    with pytest.raises(InputError, match=r"has no \.json files"):
        read_source(tmp_path, "labelme")
