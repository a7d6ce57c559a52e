"""Label Studio's JSON: shapes, brushes, classes, and everything that can be wrong with them."""

import numpy as np
import pytest

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import UnusableError
from tests.data.prepare.readers.label_writers import brush

SQUARE = np.pad(np.ones((3, 3), bool), ((1, 2), (2, 3)))
POINTS = [[25, 100 / 6], [62.5, 100 / 6], [62.5, 400 / 6], [25, 400 / 6]]


def result(kind="polygonlabels", labels=("rust",), number="r", **value):
    value = value or {"points": POINTS, "closed": True}
    size = {"original_width": 8, "original_height": 6, "image_rotation": 0}
    return {"id": number, "type": kind, "value": value | {kind: list(labels)}} | size


def task(*results, image="/data/upload/1/0a1b2c3d-a.jpg", **fields):
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results)} | fields]}


def mask(tmp_path, put, *results):
    put("a.jpg")
    put("p.json", [task(*results)])
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("label_studio", ())
    return source.photographs[0].label.read(6, 8).mask


def test_shapes(tmp_path, put):
    np.testing.assert_array_equal(mask(tmp_path, put, result()), SQUARE)
    rectangle = result("rectanglelabels", x=25, y=100 / 6, width=37.5, height=50, rotation=0)
    np.testing.assert_array_equal(mask(tmp_path, put, rectangle), SQUARE)
    turned = result("rectanglelabels", x=62.5, y=100 / 6, width=37.5, height=50, rotation=90)  # around its corner
    np.testing.assert_array_equal(mask(tmp_path, put, turned), SQUARE)
    ellipse = result("ellipselabels", x=50, y=50, radiusX=25, radiusY=25, rotation=0)
    y, x = np.mgrid[:6, :8] + 0.5
    np.testing.assert_array_equal(mask(tmp_path, put, ellipse), ((x - 4) / 2) ** 2 + ((y - 3) / 1.5) ** 2 < 1)
    assert not mask(tmp_path, put).any()


def test_brush(tmp_path, put):
    for share in (0.0, 0.1, 0.5, 1.0):
        painted = np.random.default_rng(0).random((6, 8)) < share
        read = mask(tmp_path, put, result("brushlabels", format="rle", rle=brush(painted)))
        np.testing.assert_array_equal(read, painted)
    put("p.json", [task(result("brushlabels", format="rle", rle=brush(np.ones((600, 800), bool))))])
    with pytest.raises(UnusableError, match="brush whose run lengths do not fit 8 x 6 pixels") as caught:
        read_source(tmp_path).photographs[0].label.read(6, 8)
    assert caught.value.kind == "unreadable_label"


def test_shape_and_class_in_two_results(tmp_path, put):
    shape = result(points=POINTS) | {"type": "polygon"}
    del shape["value"]["polygonlabels"]
    labels = result("labels", points=POINTS)
    choice = {"type": "choices", "value": {"choices": ["blurred"]}}
    np.testing.assert_array_equal(mask(tmp_path, put, shape, labels, choice), SQUARE)


def test_everything_that_is_wrong(tmp_path, put, names, found):
    cancelled = task(result(), image="cancelled.jpg", was_cancelled=True)
    twice = task(result(), image="twice.jpg")
    truth = task(result(), image="truth.jpg", ground_truth=True)
    for each in (twice, truth):
        each["annotations"].append({"result": []})
    open_line = result(points=POINTS, closed=False)
    nameless = result(labels=())
    tasks = [cancelled, twice, truth, task(open_line, image="open.jpg"), task(nameless, image="nameless.jpg")]
    tasks.append(task(result("keypointlabels", x=1, y=1, width=0.5), image="point.jpg"))
    tasks.append(task(result() | {"image_rotation": 90}, image="turned.jpg"))
    tasks.append(task(result() | {"value": None}, image="void.jpg"))
    for each in tasks:
        put(each["data"]["image"])
    put("p.json", tasks)
    put("broken.json", "[")
    source = read_source(tmp_path)
    assert names(source) == ["truth"]
    assert found(source.findings) == [
        ("unreadable_label", "broken.json", True),
        ("missing_mask", "cancelled.jpg", True),
        ("unknown_class", "nameless.jpg", True),
        ("polygon", "open.jpg", True),
        ("polygon", "point.jpg", True),
        ("unreadable_label", "turned.jpg", True),
        ("unreadable_label", "twice.jpg", True),
        ("unreadable_label", "void.jpg", True),
    ]
