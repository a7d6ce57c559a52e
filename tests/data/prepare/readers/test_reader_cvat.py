"""CVAT's XML for images: shapes, classes, splits, and what can be wrong with it. Pixels are those of numpy."""

import numpy as np
import pytest

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.errors import InputError

SQUARE = np.pad(np.ones((3, 3), bool), ((1, 2), (2, 3)))
POLYGON = '<polygon label="rust" source="manual" occluded="0" points="2.00,1.00;5.00,1.00;5.00,4.00;2.00,4.00" />'


def image(name, shapes="", more="", size='width="8" height="6"'):
    return f'<image id="0" name="{name}" {size} {more}>{shapes}</image>'


def document(*images, labels=("rust", "paint")):
    names = "".join(f"<label><name>{name}</name><attributes></attributes></label>" for name in labels)
    meta = f"<meta><task><name>bridges</name><labels>{names}</labels></task></meta>"
    header = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>'
    return f"{header}{meta}{''.join(images)}</annotations>"


def read(tmp_path, put, shapes, **options):
    put("images/a.jpg")
    put("annotations.xml", document(image("a.jpg", shapes)))
    source = read_source(tmp_path, **options)
    assert (source.format, source.findings) == ("cvat", ())
    return source.photographs[0].label.read(6, 8)


def test_shapes(tmp_path, put):
    assert (read(tmp_path, put, POLYGON).mask == SQUARE).all()
    box = '<box label="rust" occluded="0" xtl="2.00" ytl="1.00" xbr="5.00" ybr="4.00" z_order="0"></box>'
    assert (read(tmp_path, put, box).mask == SQUARE).all()
    y, x = np.mgrid[:6, :8] + 0.5
    turned = '<ellipse label="rust" cx="4.0" cy="3.0" rx="1.2" ry="3.2" rotation="90.0"></ellipse>'
    inside = ((x - 4) / 3.2) ** 2 + ((y - 3) / 1.2) ** 2 < 1
    assert (read(tmp_path, put, turned).mask == inside).all()


def test_boxes_turn_around_their_centres(tmp_path, put):
    quarter = '<box label="rust" xtl="3.00" ytl="1.00" xbr="5.00" ybr="5.00" rotation="90.0"></box>'
    assert (read(tmp_path, put, quarter).mask == np.pad(np.ones((2, 4), bool), ((2, 2), (2, 2)))).all()
    tilted = '<box label="rust" xtl="1.0" ytl="2.0" xbr="7.0" ybr="4.0" rotation="30.0"></box>'
    y, x = np.mgrid[:6, :8] + 0.5
    # Clockwise as seen: along the box x and y grow.
    along = (x - 4) * np.cos(np.pi / 6) + (y - 3) * np.sin(np.pi / 6)
    across = (y - 3) * np.cos(np.pi / 6) - (x - 4) * np.sin(np.pi / 6)
    inside = (abs(along) < 3) & (abs(across) < 1)
    sure = (abs(abs(along) - 3) > 0.2) & (abs(abs(across) - 1) > 0.2)
    assert (read(tmp_path, put, tilted).mask == inside)[sure].all()


def test_masks_are_run_lengths_row_by_row_in_their_box(tmp_path, put):
    mask = '<mask label="rust" source="semi-auto" rle="1, 2, 2, 1" left="4" top="3" width="3" height="2"></mask>'
    expected = np.zeros((6, 8), bool)
    expected[3:5, 4:7] = [[0, 1, 1], [0, 0, 1]]
    assert (read(tmp_path, put, mask).mask == expected).all()


def test_classes_are_those_that_the_file_defines(tmp_path, put):
    label = read(tmp_path, put, POLYGON.replace("rust", "paint"))
    assert not label.mask.any()
    assert [(each.name, each.taken_as, each.pixels) for each in label.classes[:2]] == [
        ("paint", "background", 9),
        ("rust", "corrosion", 0),
    ]
    assert (read(tmp_path, put, POLYGON, corrosion_classes=("paint",)).mask == 0).all()


def test_subsets_are_splits(tmp_path, put):
    for name in "abc":
        put(f"images/{name}.jpg")
    subsets = {"a": "Train", "b": "Validation", "c": "Test"}
    listed = [image(f"{name}.jpg", POLYGON, f'subset="{subset}"') for name, subset in subsets.items()]
    put("annotations.xml", document(*listed))
    splits = [photograph.split for photograph in read_source(tmp_path).photographs]
    assert splits == ["train", "validation", "test"]


def test_everything_that_is_wrong(tmp_path, put, names, found):
    shapes = {
        "line": '<polyline label="rust" points="1,1;2,2"></polyline>',
        "tag": '<tag label="rust"></tag>',
        "undefined": POLYGON.replace("rust", "rusty"),
        "odd": '<polygon label="rust" points="1,1;2"></polygon>',
        "unfinished": '<box label="rust" xtl="1" ytl="1"></box>',
        "overfull": '<mask label="rust" rle="1, 9" left="0" top="0" width="3" height="2"></mask>',
        "outside": '<mask label="rust" rle="0, 6" left="6" top="0" width="3" height="2"></mask>',
    }
    put("good.jpg")
    for name in (*shapes, "sizeless", "unlisted"):
        put(f"{name}.jpg")
    listed = [image(f"{name}.jpg", shape) for name, shape in shapes.items()]
    others = [image("good.jpg", POLYGON), image("absent.jpg"), image("sizeless.jpg", size='width="8"')]
    put("annotations.xml", document(*listed, *others))
    put("broken.xml", "<annotations><version>1.1</version><image")
    put("video.xml", "<annotations><version>1.1</version><track></track></annotations>")
    source = read_source(tmp_path)
    assert names(source) == ["good"]
    assert found(source.findings) == [
        ("missing_image", "absent.jpg", True),
        ("unreadable_label", "broken.xml", True),
        ("polygon", "line.jpg", True),
        ("unreadable_label", "odd.jpg", True),
        ("unreadable_label", "outside.jpg", True),
        ("unreadable_label", "overfull.jpg", True),
        ("unreadable_label", "sizeless.jpg", True),
        ("polygon", "tag.jpg", True),
        ("unknown_class", "undefined.jpg", True),
        ("unreadable_label", "unfinished.jpg", True),
        ("missing_mask", "unlisted.jpg", True),
        ("unreadable_label", "video.xml", True),
    ]


def test_shapes_of_background_need_not_be_drawable(tmp_path, put):
    label = read(tmp_path, put, f'{POLYGON}<points label="paint" points="1,1;2,2"></points>')
    assert (label.mask == SQUARE).all()


def test_entities_fill_no_memory(tmp_path, put):
    put("images/a.jpg")
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE annotations [<!ENTITY e0 "rust">{levels}]><annotations><image name="&e11;"/></annotations>'
    put("annotations.xml", bomb)
    source = read_source(tmp_path)
    assert not source.photographs and {finding.file for finding in source.findings} >= {"annotations.xml"}


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no \.xml files"):
        read_source(tmp_path, "cvat")
