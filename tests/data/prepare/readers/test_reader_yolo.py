"""YOLO's text: layouts, data.yaml, classes, and everything that can be wrong with them."""

import time

import numpy as np
import pytest

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.errors import InputError

ROW = "0 0.25 0.17 0.626 0.17 0.626 0.67 0.25 0.67"
SQUARE = np.pad(np.ones((3, 3), bool), ((1, 2), (2, 3)))  # as pycocotools draws it


def mask(source, name="a"):
    return {photograph.name: photograph.label for photograph in source.photographs}[name].read(6, 8).mask


@pytest.mark.parametrize("labels", ["labels", "yolo_labels"])
def test_plain_folders(tmp_path, put, labels, names, found):
    for name in ("a", "empty", "absent", "089"):
        put(f"images/{name}.jpg")
    put(f"{labels}/a.txt", "\ufeff" + ROW + "\r\n\r\n")
    put(f"{labels}/089.txt", ROW)
    put(f"{labels}/empty.txt", "")
    put(f"{labels}/alone.txt", ROW)
    put(f"{labels}/classes.txt", "corrosion\n")
    source = read_source(tmp_path)
    assert source.format == "yolo"
    assert names(source) == ["089", "a", "empty"]
    np.testing.assert_array_equal(mask(source), SQUARE)
    assert not mask(source, "empty").any()
    assert found(source.findings) == [
        ("missing_mask", "images/absent.jpg", True),
        ("missing_image", f"{labels}/alone.txt", True),
    ]
    assert f"{labels}/absent" in source.findings[0].message


@pytest.mark.parametrize("order", ["{split}/{kind}", "{kind}/{split}"])
@pytest.mark.parametrize("description", [None, "train: ../train/images\nval: ../valid/images\nnames: [rust]\n"])
def test_folders_of_splits(tmp_path, put, order, description):
    for split, name in (("train", "a"), ("valid", "b"), ("test", "c")):
        put(f"{order.format(split=split, kind='images')}/{name}.jpg")
        put(f"{order.format(split=split, kind='labels')}/{name}.txt", ROW)
    if description:
        put("data.yaml", description + "test: ../test/images\n")
    else:
        with pytest.raises(InputError, match="has the classes 0 and none is named corrosion or rust"):
            read_source(tmp_path)  # a number is no name
    source = read_source(tmp_path, corrosion_classes=() if description else ("0",))
    assert source.findings == ()
    splits = {photograph.name: photograph.split for photograph in source.photographs}
    assert splits == {"train/a": "train", "valid/b": "validation", "test/c": "test"}
    np.testing.assert_array_equal(mask(source, "train/a"), SQUARE)


def test_folders_of_the_description(tmp_path, put):
    put("set/north/images/a.jpg")
    put("set/north/labels/a.txt", ROW)
    put("set/south/b.jpg")
    put("set/south/b.txt", "")
    put("data.yaml", "path: set\ntrain: north/images\nval: [south, nowhere]\ntest:\nnames: {0: rust}\n")
    source = read_source(tmp_path)
    splits = {photograph.name: photograph.split for photograph in source.photographs}
    assert (source.format, splits, source.findings) == (
        "yolo",
        {"set/north/a": "train", "set/south/b": "validation"},
        (),
    )


def test_classes(tmp_path, put):
    put("images/a.jpg")
    put("labels/a.txt", ROW + "\n2 0 0 0.125 0 0.125 0.167 0 0.167\n")
    corner = np.zeros((6, 8), bool)
    corner[0, 0] = True
    with pytest.raises(InputError, match="has the classes 0, 2 and none is named corrosion or rust"):
        read_source(tmp_path)
    np.testing.assert_array_equal(mask(read_source(tmp_path, corrosion_classes=("0",))), SQUARE)
    with pytest.raises(InputError, match="no class '1', only 0, 2"):
        read_source(tmp_path, corrosion_classes=("1",))
    put("data.yaml", "names: [paint, deck, Pitting Corrosion]\n")
    np.testing.assert_array_equal(mask(read_source(tmp_path)), corner)
    np.testing.assert_array_equal(mask(read_source(tmp_path, corrosion_classes=("PAINT", "2"))), SQUARE | corner)
    with pytest.raises(InputError, match=r"no class 'x', only paint \(0\), deck \(1\), Pitting Corrosion \(2\)"):
        read_source(tmp_path, corrosion_classes=("x",))
    put("data.yaml", "nc: 3\n")
    put("labels/classes.txt", "rust\nx\nprimer\n")
    np.testing.assert_array_equal(mask(read_source(tmp_path)), SQUARE)


def test_everything_that_is_wrong(tmp_path, put, names, found):
    rows = {
        "good": ROW + "\n1 0.5 0.5 0.1 0.1\n",  # a box of another class
        "box": ROW + "\n0 0.5 0.5 0.1 0.1\n",
        "odd": ROW + " 0.5",
        "words": "rust 0.1 0.1 0.2 0.2 0.3 0.3",
        "nan": "0 nan 0 1 1 0 1",
        "unknown": ROW + "\n7 0 0 1 1 0 1\n",
        "binary": b"\xff\xfe\x00",
    }
    put("data.yaml", "names:\n  0: rust\n  1: paint\n")
    for name, text in rows.items():
        put(f"images/{name}.jpg")
        put(f"labels/{name}.txt", text)
    source = read_source(tmp_path)
    assert names(source) == ["good"]
    assert found(source.findings) == [
        ("unreadable_label", "labels/binary.txt", True),
        ("polygon", "labels/box.txt", True),
        ("unreadable_label", "labels/nan.txt", True),
        ("unreadable_label", "labels/odd.txt", True),
        ("unknown_class", "labels/unknown.txt", True),
        ("unreadable_label", "labels/words.txt", True),
    ]


def test_polygons_partly_and_wholly_outside(tmp_path, put, found):
    put("images/a.jpg", np.zeros((60, 80, 3), np.uint8))
    put("labels/classes.txt", "rust\n")
    partly, wholly = "0 -0.5 0.1 0.5 0.1 0.5 0.5 -0.5 0.5\n", "0 3 3 4 3 4 4\n"
    put("labels/a.txt", f"{partly}{wholly}0 0.1 0.1 0.2 0.2\n")
    source = read_source(tmp_path)
    assert found(source.findings) == [("polygon", "labels/a.txt", True)]  # two points look like a box
    put("labels/a.txt", partly + wholly)
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    with pytest.raises(UnusableError, match=r"labels/a\.txt has 1 polygon\(s\) with nothing inside"):
        label.read(60, 80)
    put("labels/a.txt", partly)
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    read = label.read(60, 80)
    assert found(read.findings) == [("polygon", "labels/a.txt", False)]
    assert read.mask[6:30, :40].all() and read.mask.sum() == 24 * 40


@pytest.mark.parametrize("text", ["names: [rust", "just text", "names: 3\n", b"\xff\xfe"])
def test_descriptions_that_cannot_be_used(tmp_path, put, text):
    put("images/a.jpg")
    put("labels/a.txt", ROW)
    put("data.yaml", text)
    with pytest.raises(InputError, match=r"data\.yaml") as caught:
        read_source(tmp_path)
    assert "\n" not in str(caught.value)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "names: *i\n",
        "names: &a [*a]\n",
        "names: " + "[" * 20_000 + "\n",
        "names: [" + "x, " * 600_000 + "]\n",
        "names: [[rust]]\n",
        "names: {a: rust}\n",
        "names: {99999999999: rust}\n",
        "names: [null]\n",
        "? [names]\n: x\n",
        "names: !!python/object/apply:os.system [echo]\n",
    ],
)
def test_descriptions_that_are_made_to_harm(tmp_path, put, text):
    """In a moment and in one line; the first stands for 43 million names."""
    put("images/a.jpg")
    put("labels/a.txt", ROW)
    put("data.yaml", text)
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        read_source(tmp_path)
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_numbers_without_end(tmp_path, put, found):
    put("images/a.jpg")
    put("labels/classes.txt", "rust\n")
    put("labels/a.txt", "9" * 5000 + " 0 0 1 0 1 1\n")
    assert found(read_source(tmp_path).findings) == [("unreadable_label", "labels/a.txt", True)]


def test_class_names_beside_the_folders(tmp_path, put):
    """As Label Studio exports YOLO."""
    put("images/a.jpg")
    put("labels/a.txt", ROW)
    put("classes.txt", "NoCorrosion\nrust\n")
    assert not mask(read_source(tmp_path)).any()
    put("classes.txt", "rust\nNoCorrosion\n")
    np.testing.assert_array_equal(mask(read_source(tmp_path)), SQUARE)
