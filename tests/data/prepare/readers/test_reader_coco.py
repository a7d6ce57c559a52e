"""COCO's JSON: layouts, classes, segmentations, and everything that can be wrong with them."""

import json

import numpy as np
import pytest

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.errors import InputError

POINTS = [2, 1, 5, 1, 5, 4, 2, 4]
SQUARE = np.pad(np.ones((3, 3), bool), ((1, 2), (2, 3)))  # as pycocotools draws it
RUN = {"size": [6, 8], "counts": [0, 6, 42]}  # the first column
CLASSES = [{"id": 0, "name": "marks", "supercategory": "none"}, {"id": 2, "name": "rust", "supercategory": "marks"}]


def label_json(*files, segmentation=(POINTS,), categories=CLASSES, category=2, **fields):
    segmentation = list(segmentation) if isinstance(segmentation, tuple) else segmentation
    images = [{"id": 10 + i, "file_name": file, "height": 6, "width": 8} for i, file in enumerate(files)]
    annotations = [{"image_id": 10, "category_id": category, "segmentation": segmentation, "iscrowd": 0}]
    return {"images": images, "annotations": annotations, "categories": categories} | fields


def masks(source):
    return {photograph.name: photograph.label.read(6, 8).mask for photograph in source.photographs}


def test_polygons_and_run_lengths(tmp_path, put):
    put("a.jpg")
    put("b.jpg")
    put("c.json", label_json("a.jpg", "b.jpg"))
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("coco", ())
    np.testing.assert_array_equal(masks(source)["a"], SQUARE)
    assert not masks(source)["b"].any()  # no annotations: background
    both = label_json("a.jpg", "b.jpg")
    both["annotations"] += [{"image_id": 10, "category_id": 2, "segmentation": RUN, "iscrowd": 1}]
    put("c.json", both)
    expected = SQUARE.copy()
    expected[:, 0] = True
    np.testing.assert_array_equal(masks(read_source(tmp_path))["a"], expected)


def test_roboflow(tmp_path, put, names, found):
    for part in ("train", "valid", "test"):
        put(f"{part}/{part}_1_jpg.rf.0a1b.jpg")
        put(f"{part}/{part}_1_jpg.rf.2c3d.jpg")
        files = [f"{part}_1_jpg.rf.0a1b.jpg", f"{part}_1_jpg.rf.2c3d.jpg"]
        put(f"{part}/_annotations.coco.json", label_json(*files))
    source = read_source(tmp_path)
    assert source.findings == ()
    of_split = {(photograph.split, photograph.group) for photograph in source.photographs}
    assert of_split == {("train", "train_1_jpg"), ("validation", "valid_1_jpg"), ("test", "test_1_jpg")}
    assert len(source.photographs) == 6


@pytest.mark.parametrize("folder", ["images/default", "images", "annotations", "train2017", "."])
def test_places_of_photographs(tmp_path, put, names, folder):
    put(f"{folder}/a.jpg")
    put("thumbnails/b.jpg")
    put("annotations/instances_default.json", label_json("a.jpg"))
    below = folder.removeprefix("images").strip("/.")
    assert names(read_source(tmp_path)) == [f"{below}/a" if below else "a"]


def test_splits_by_name_of_the_file(tmp_path, put):
    put("train2017/a.jpg")
    put("val2017/b.jpg")
    put("annotations/instances_train2017.json", label_json("a.jpg"))
    put("annotations/instances_val2017.json", label_json("b.jpg"))
    source = read_source(tmp_path)
    assert [(photograph.name, photograph.split) for photograph in source.photographs] == [
        ("train2017/a", "train"),
        ("val2017/b", "validation"),
    ]


def test_names_that_occur_in_several_folders(tmp_path, put, names, found):
    put("one/a.jpg")
    put("two/a.jpg")
    put("train/b.jpg")
    put("val/b.jpg")
    put("json/all.json", label_json("a.jpg"))
    put("json/train.json", label_json("b.jpg"))
    source = read_source(tmp_path)
    assert [(photograph.name, photograph.split) for photograph in source.photographs] == [("train/b", "train")]
    assert found(source.findings) == [("missing_image", "a.jpg", True), ("empty_split", "validation", False)]
    assert "several times" in source.findings[0].message
    put("json/all.json", label_json("two/a.jpg", "one/a.jpg"))
    assert names(read_source(tmp_path)) == ["one/a", "train/b", "two/a"]


def test_classes(tmp_path, put):
    put("a.jpg")
    classes = [{"id": 4, "name": "paint"}, {"id": 9, "name": "Deck"}]
    put("c.json", label_json("a.jpg", categories=classes, category=9))
    with pytest.raises(
        InputError, match=r"has the classes paint \(4\), Deck \(9\) and none is named corrosion or rust"
    ):
        read_source(tmp_path)
    with pytest.raises(InputError, match=r"no class '5', only paint \(4\), Deck \(9\)"):
        read_source(tmp_path, corrosion_classes=("5",))
    for wish in ("deck", "9"):
        np.testing.assert_array_equal(masks(read_source(tmp_path, corrosion_classes=(wish,)))["a"], SQUARE)
    assert not masks(read_source(tmp_path, corrosion_classes=("paint",)))["a"].any()
    classes += [{"id": 1, "name": "no rust"}, {"id": 2, "name": "corrosion, fair"}]
    put("c.json", label_json("a.jpg", categories=classes, category=1))
    assert not masks(read_source(tmp_path))["a"].any()


def test_everything_that_is_wrong(tmp_path, put, names, found):
    for name in ("good", "box", "unknown", "odd", "run", "unlisted"):
        put(f"{name}.jpg")
    parts = {
        "box": {"segmentation": [], "category_id": 2},
        "unknown": {"segmentation": [POINTS], "category_id": 77},
        "odd": {"segmentation": [POINTS[:7]], "category_id": 2},
        "run": {"segmentation": {"counts": [48]}, "category_id": 2},
    }
    whole = label_json("good.jpg", "absent.jpg", "../outside.jpg")
    for name, annotation in parts.items():
        whole["images"].append({"id": name, "file_name": f"{name}.jpg"})
        whole["annotations"].append({"image_id": name} | annotation)
    whole["images"] += [{"id": 3}, "text"]
    whole["annotations"] += [{"image_id": 999, "category_id": 2}]
    put("c.json", whole)
    put("package.json", {"name": "other"})
    put("broken.json", "{")
    source = read_source(tmp_path)
    assert names(source) == ["good"]
    assert sorted(found(source.findings)) == sorted(
        [
            ("missing_image", "absent.jpg", True),
            ("outside_source", "../outside.jpg", True),
            ("polygon", "box.jpg", True),
            ("unknown_class", "unknown.jpg", True),
            ("unreadable_label", "odd.jpg", True),
            ("unreadable_label", "run.jpg", True),
            ("missing_mask", "unlisted.jpg", True),
            ("table", "c.json", False),
            ("table", "c.json", False),
            ("unreadable_label", "package.json", True),
            ("unreadable_label", "broken.json", True),
        ]
    )


def test_damage_that_is_seen_when_a_label_is_read(tmp_path, put):
    put("a.jpg")
    put("c.json", label_json("a.jpg", segmentation={"size": [6, 8], "counts": [3, 4]}))
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    with pytest.raises(UnusableError, match=r"a\.jpg has run lengths") as caught:
        label.read(6, 8)
    assert caught.value.kind == "unreadable_label"
    put("c.json", label_json("a.jpg"))
    ((_, _, label, *_),) = read_source(tmp_path).photographs
    with pytest.raises(UnusableError, match="drawn on 8 x 6 pixels") as caught:
        label.read(12, 16)
    assert caught.value.kind == "size_mismatch"


@pytest.mark.parametrize("text", ["{", '"text"', '{"annotations": 3}', "[" * 100000, b"\xff\xfe"])
def test_the_only_file_cannot_be_used(tmp_path, put, text):
    put("a.jpg")
    put("c.json", text)
    with pytest.raises(InputError, match=r"has no usable COCO file: c\.json") as caught:
        read_source(tmp_path, "coco")
    assert "\n" not in str(caught.value)


def test_photographs_that_are_all_absent(tmp_path, put, found):
    put("c.json", label_json("a.jpg", "b.jpg"))
    source = read_source(tmp_path)
    assert source.photographs == ()
    assert found(source.findings) == [("missing_image", "a.jpg", True), ("missing_image", "b.jpg", True)]


@pytest.mark.parametrize(("listed", "named"), [(10, "10"), ("10", 10), (10.0, 10), (10, 10.0), ("a", "a")])
def test_identifiers_as_text_and_float(tmp_path, put, listed, named):
    put("a.jpg")
    whole = label_json("a.jpg")
    whole["images"][0]["id"] = listed
    whole["annotations"][0] |= {"image_id": named, "category_id": "2"}
    put("c.json", whole)
    source = read_source(tmp_path)
    assert source.findings == ()
    np.testing.assert_array_equal(masks(source)["a"], SQUARE)


@pytest.mark.parametrize("change", [{"image_id": None}, {"image_id": [10]}, {"image_id": True}, {"image_id": 11.5}])
def test_annotations_that_cannot_be_assigned(tmp_path, put, names, change):
    """They may belong to any photograph without one."""
    for name in ("a", "b"):
        put(f"{name}.jpg")
    whole = label_json("a.jpg", "b.jpg")
    whole["annotations"].append(whole["annotations"][0] | change)
    put("c.json", whole)
    source = read_source(tmp_path)
    left_out = {finding.file for finding in source.findings if finding.left_out}
    assert "b.jpg" in left_out and "b" not in names(source)


def test_two_images_of_one_identifier(tmp_path, put, found):
    for name in ("a", "b"):
        put(f"{name}.jpg")
    whole = label_json("a.jpg", "b.jpg")
    whole["images"][1]["id"] = "10"
    put("c.json", whole)
    assert found(read_source(tmp_path).findings) == [("table", "a.jpg", True), ("table", "b.jpg", True)]


@pytest.mark.parametrize("value", ["[" * 500 + "]" * 500, "9" * 5000, "1e400", "NaN", '"' + "x" * 100_000 + '"'])
@pytest.mark.parametrize("key", ["category_id", "segmentation", "image_id"])
def test_values_of_any_size(tmp_path, put, key, value):
    put("a.jpg")
    put("good.jpg")
    whole = json.dumps(label_json("good.jpg", "a.jpg"))
    annotation = '{"image_id": 11, "category_id": 2, "segmentation": [[0, 0, 3, 0, 3, 3]]}'
    bad = json.loads(annotation) | {key: "VALUE"}
    put("c.json", whole.replace('"annotations": [', f'"annotations": [{json.dumps(bad)}, ').replace('"VALUE"', value))
    try:
        source = read_source(tmp_path)
    except InputError as error:
        assert len(str(error)) < 500 and "\n" not in str(error)
        return
    left_out = [finding for finding in source.findings if finding.left_out]
    assert [finding.file for finding in left_out if finding.file == "a.jpg"]
    assert all(len(finding.message) < 500 for finding in source.findings)
