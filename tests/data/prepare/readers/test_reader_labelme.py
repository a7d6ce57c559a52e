"""labelme's JSON files: shapes, classes, and everything that can be wrong with them."""

import base64
import io
import math
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spotrust_jax.data.prepare.audit import audit
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.errors import InputError

POINTS = [[2, 1], [5, 1], [5, 4], [2, 4]]
SQUARE = np.pad(np.ones((4, 4), bool), ((1, 1), (2, 2)))


def label_json(name="a.jpg", label="rust", points=POINTS, kind="polygon", **fields):
    shapes = [] if label is None else [{"label": label, "shape_type": kind, "points": points}]
    return {"shapes": shapes, "imagePath": name, "imageData": "aGVsbG8=", "imageHeight": 6, "imageWidth": 8} | fields


def masks(source):
    return {photograph.name: photograph.label.read(6, 8).mask for photograph in source.photographs}


def test_shapes(tmp_path, put):
    put("a.jpg")
    put("sub/b c.jpg")
    put("sub/é'\".jpg")
    put("labels/a.json", label_json("..\\a.jpg"))
    put("sub/b c.json", label_json("b c.jpg", points=[[5, 4], [2, 1]], kind="rectangle"))
    put("sub/é'\".json", label_json("é'\".jpg", label=None))
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("labelme", ())
    read = masks(source)
    np.testing.assert_array_equal(read["a"], SQUARE)
    np.testing.assert_array_equal(read["sub/b c"], SQUARE)
    assert not read["sub/é'\""].any()


def test_circle(tmp_path, put):
    put("a.jpg", np.zeros((100, 120, 3), np.uint8))
    circle = label_json(points=[[50, 40], [50, 70]], kind="circle", imageHeight=100, imageWidth=120)
    put("a.json", circle)
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    assert label.read(100, 120).mask.sum() == pytest.approx(math.pi * 30.5**2, rel=0.02)  # the outline belongs to it


def test_shapes_without_area(tmp_path, put, found):
    put("a.jpg")
    lines = label_json()
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
    several = label_json(label="Paint")
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
    put("set/good.json", label_json("good.jpg"))
    put("set/broken.json", '{"shapes": [')
    put("set/no list.json", {"shapes": 3, "imagePath": "no list.jpg"})
    put("set/bad points.json", label_json("bad points.jpg", points=[[1, 2], [3]]))
    put("set/mask.json", label_json("mask.jpg", kind="mask", points=POINTS[::2]))
    put("set/nowhere.json", label_json(""))
    put("set/absent.json", label_json("absent.jpg"))
    put("set/outside.json", label_json("../elsewhere.jpg"))
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
    put("a.json", label_json("C:\\photos\\2021\\a.jpg"))
    put("b.jpg")
    put("b.json", label_json("/home/somebody/b.jpg"))
    assert names(read_source(tmp_path)) == ["a", "b"]


def test_photograph_that_is_labelled_twice(tmp_path, put, names, found):
    put("a.jpg")
    put("a.json", label_json())
    put("copy/a.json", label_json("../a.jpg"))
    source = read_source(tmp_path)
    assert names(source) == []
    assert found(source.findings) == [("duplicate_name", "a.jpg", True)]
    assert "labelled more than once" in source.findings[0].message


def test_no_files_at_all(tmp_path, put):
    put("a.jpg")
    with pytest.raises(InputError, match=r"has no \.json files"):
        read_source(tmp_path, "labelme")


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral", "rectangle", "polygon"])
def test_four_corners_are_an_area(tmp_path, put, kind):
    put("a.jpg")
    put("a.json", label_json(kind=kind, direction=0.0))
    source = read_source(tmp_path)
    assert source.findings == ()
    np.testing.assert_array_equal(masks(source)["a"], SQUARE)


def test_circle_is_labelmes(tmp_path, put):
    put("a.jpg", np.zeros((60, 50, 3), np.uint8))
    for centre, other in (([20.3, 30.7], [31.2, 28.1]), ([-3.5, 4], [9, 9]), ([25, 30], [1e9, 0])):
        put("a.json", label_json(points=[centre, other], kind="circle", imageHeight=60, imageWidth=50))
        ((_, _, label, *_),) = read_source(tmp_path).photographs
        radius = math.hypot(other[0] - centre[0], other[1] - centre[1])
        canvas = Image.new("L", (50, 60), 1)
        if radius < 1e6:
            canvas = Image.new("L", (50, 60))
            box = (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)
            ImageDraw.Draw(canvas).ellipse(box, outline=1, fill=1)
        np.testing.assert_array_equal(label.read(60, 50).mask, np.asarray(canvas, bool))


def encoded(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def masked(values, points, **fields):
    whole = label_json(points=points, kind="mask")
    whole["shapes"][0]["mask"] = encoded(values)
    return whole | fields


@pytest.mark.parametrize(("left", "top"), [(2, 1), (-2, -1), (6, 4), (20, 20)])
def test_masks(tmp_path, put, left, top):
    put("a.jpg")
    values = np.random.default_rng(0).random((3, 4)) < 0.5
    put("a.json", masked(values.astype(np.uint8) * 255, [[left, top], [left + 3.9, top + 2.2]]))
    expected = np.zeros((60, 60), bool)  # with room around the photograph, which begins at 20, 20
    expected[20 + top : 23 + top, 20 + left : 24 + left] = values
    np.testing.assert_array_equal(masks(read_source(tmp_path))["a"], expected[20:26, 20:28])


def test_masks_that_cannot_be_read(tmp_path, put):
    put("a.jpg")
    values = np.ones((3, 4), np.uint8)
    broken = masked(values, [[0, 0], [3, 2]])
    broken["shapes"][0]["mask"] = broken["shapes"][0]["mask"][:60]
    coloured = masked(np.ones((3, 4, 3), np.uint8), [[0, 0], [3, 2]])
    for content in (masked(values, [[0, 0], [4, 2]]), broken, coloured):
        put("a.json", content)
        ((_, _, label, *_),) = read_source(tmp_path).photographs
        with pytest.raises(UnusableError, match=r"a\.json has a mask that cannot be read") as caught:
            label.read(6, 8)
        assert caught.value.kind == "unreadable_label"
    put("a.json", masked(np.ones((1, 1), np.uint8), [[0, 0], [1e9, 1e9]]))  # no memory is asked for
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    with pytest.raises(UnusableError, match="cannot be read"):
        label.read(6, 8)


def test_embedded_photographs(tmp_path, put, found):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    put("set/a.json", label_json() | {"imageData": encoded(pixels)})
    put("set/b.json", label_json("b.jpg", label=None) | {"imageData": encoded(pixels)[:-40]})
    put("set/c.json", label_json("c.jpg", label=None))
    source = read_source(tmp_path / "set")
    assert found(source.findings) == [("missing_image", "c.json", True)]
    read = {photograph.name: photograph for photograph in source.photographs}
    np.testing.assert_array_equal(read["a"].read(100), pixels)
    audited = audit(source)
    assert [record.name for record in audited.records] == ["a"]
    (finding,) = [finding for finding in audited.findings if finding.file == "b.json"]
    assert finding.kind == "unreadable_image" and "imageData in b.json" in finding.message


def test_json_in_a_folder_of_its_own(tmp_path, put, names):
    for name, path in (("0", "0.jpg"), ("1", "1.json"), ("2", "2.JPG"), ("3", "3.png")):
        put(f"images/{name}.jpg")
        put(f"json/{name}.json", label_json(path, label="Fair"))
    source = read_source(tmp_path, corrosion_classes=("fair",))
    assert (names(source), source.findings) == (["0", "1", "2", "3"], ())
    put("json/0.json", label_json("none.jpg", label="Fair"))
    source = read_source(tmp_path, corrosion_classes=("fair",))  # the class is there though its photograph is not
    assert names(source) == ["1", "2", "3"]


@pytest.mark.parametrize("label", [7, "", " ", [], {"a": 1}, True])
def test_labels_that_are_no_class(tmp_path, put, found, label):
    put("a.jpg")
    put("a.json", label_json(label=label))
    assert found(read_source(tmp_path).findings) == [("unknown_class", "a.jpg", True)]


def test_spellings_of_one_class(tmp_path, put):
    labels = ("corrosión", "corrosión ", unicodedata.normalize("NFD", "corrosión"))
    for number, label in enumerate(labels):
        put(f"{number}.jpg")
        content = label_json(f"{number}.jpg", label=label)
        content["shapes"].append({"label": "pintura", "shape_type": "polygon", "points": POINTS})
        put(f"{number}.json", content)
    for mask in masks(read_source(tmp_path, corrosion_classes=("corrosión",))).values():
        np.testing.assert_array_equal(mask, SQUARE)
