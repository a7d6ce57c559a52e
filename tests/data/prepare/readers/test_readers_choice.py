"""Recognising formats, splits.csv, names and groups: what all readers have in common."""

import os
from pathlib import Path

import numpy as np
import pytest

from spotrust_jax.data.prepare.audit import audit, with_splits
from spotrust_jax.data.prepare.readers import FORMATS, read_source
from spotrust_jax.errors import InputError

MASK = np.full((6, 8), 255, np.uint8)
SHAPES = {"shapes": [], "imagePath": "a.jpg"}
COCO = {"images": [], "annotations": [], "categories": []}


def refused(root, *words, **options):
    with pytest.raises(InputError) as caught:
        read_source(root, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_sources_that_are_not_there(tmp_path, put):
    refused(tmp_path / "none", "none does not exist", "check the path")
    refused(put("a.jpg"), "a.jpg is a file", "give the folder")
    refused(tmp_path, "there is no format 'voc'", *FORMATS, format="voc")
    looked_for = ("images/ and masks/", "Image and Mask", "labelme", "COCO", "YOLO")
    refused(tmp_path, "in no format that is known", *looked_for)
    refused(tmp_path, "no folders images and masks", format="folder")
    refused(tmp_path, "no folders images and labels", format="yolo")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    refused(tmp_path, "has no photographs")


def test_masks_go_before_polygons(tmp_path, put):
    put("images/a.jpg")
    put("labels/a.txt", "")
    assert read_source(tmp_path).format == "yolo"
    put("images/a.json", SHAPES)
    refused(tmp_path, "labelme and yolo", "--format")
    put("masks/a.png", MASK)
    assert read_source(tmp_path).format == "folder"
    assert read_source(tmp_path, "labelme").format == "labelme"
    put("t.tsv", "Image\tMask\nimages/a.jpg\tmasks/a.png\n")
    refused(tmp_path, "folder and tsv", "--format")
    assert read_source(tmp_path / "t.tsv").format == "tsv"


def test_broken_json_is_recognised(tmp_path, put):
    put("a.json", '{"images": [], "annotations": [')
    refused(tmp_path, "no usable COCO file", "a.json is not JSON")


def test_table_of_splits(tmp_path, put, found):
    for name in ("09", "089", "090", "a.b", "c", "d", "e"):
        put(f"images/{name}.jpg")
        if name != "e":
            put(f"masks/{name}.png", MASK)
    rows = ["name,split,group", "09,train,tank", "089,val,", " 090 , test , pipe ", "a.b,training,x", "a.b,test,x"]
    put("splits.csv", "\ufeff" + "\r\n".join([*rows, "c,trian,", "zzz,train,", "e,train,", ",,"]))
    source = read_source(tmp_path)
    assert [(name, split, group) for name, _, _, split, group, *_ in source.photographs] == [
        ("089", "validation", "089"),
        ("09", "train", "tank"),
        ("090", "test", "pipe"),
    ]
    assert sorted(found(source.findings)) == sorted(
        [
            ("missing_mask", "images/e.jpg", True),
            ("table", "a.b", True),
            ("table", "c", True),
            ("table", "images/d.jpg", True),
            ("table", "zzz", True),
        ]
    )
    put("splits.csv", "file,part\n")
    refused(tmp_path, "splits.csv has the columns", "name,split,group")
    put("splits.csv", b"\xff\xfe")
    refused(tmp_path, "splits.csv cannot be read", "UTF-8")


def test_training_part_alone_is_not_split(tmp_path, put):
    put("train/images/a.jpg")
    put("train/masks/a.png", MASK)
    assert read_source(tmp_path).photographs[0].split is None
    put("splits.csv", "name,split\na,train\n")
    assert read_source(tmp_path).photographs[0].split == "train"


def test_one_file_name_in_several_splits(tmp_path, put, found):
    """Numbering starts anew in each split: nine photographs, which stay in the splits that they are in."""
    for part, count in (("train", 6), ("valid", 3)):
        for number in range(count):
            put(f"{part}/images/{number}.jpg")
            put(f"{part}/masks/{number}.png", MASK)
    source = read_source(tmp_path)
    assert source.findings == ()
    assert {photograph.name: photograph.split for photograph in source.photographs} == {
        **{f"train/{number}": "train" for number in range(6)},
        **{f"valid/{number}": "validation" for number in range(3)},
    }


def test_one_file_name_in_several_flights(tmp_path, put, names):
    for flight in ("bridge", "tank/north", "."):
        put(f"{flight}/DJI_0001.jpg")
        put(f"{flight}/DJI_0001.json", SHAPES | {"imagePath": "DJI_0001.jpg"})
    put("tank/DJI_0001.png")
    put("tank/DJI_0001.jpg")
    put("tank/DJI_0001.json", SHAPES | {"imagePath": "DJI_0001.jpg"})
    put("tank/other.json", SHAPES | {"imagePath": "DJI_0001.png"})
    assert names(read_source(tmp_path, "labelme")) == [
        "DJI_0001",
        "bridge/DJI_0001",
        "tank/DJI_0001.jpg",
        "tank/DJI_0001.png",
        "tank/north/DJI_0001",
    ]


def test_table_names_paths_or_file_names_that_are_unique(tmp_path, put, found):
    for name in ("bridge/1", "tank/1", "tank/2"):
        put(f"images/{name}.jpg")
        put(f"masks/{name}.png", MASK)
    put("splits.csv", "name,split\nbridge/1,train\ntank/1,test\n2,validation\n")
    source = read_source(tmp_path)
    assert source.findings == ()
    splits = {photograph.name: photograph.split for photograph in source.photographs}
    assert splits == {"bridge/1": "train", "tank/1": "test", "tank/2": "validation"}
    put("splits.csv", "name,split\nbridge/1,train\n2,train\n")
    source = read_source(tmp_path)
    assert found(source.findings) == [("table", "images/tank/1.jpg", True)]
    assert [photograph.split for photograph in source.photographs] == ["train", "train"]
    put("splits.csv", "name,split\n1,train\n2,train\n")
    assert found(read_source(tmp_path).findings)[0] == ("table", "1", True)


def test_given_splits_are_not_replaced_where_one_is_lost(tmp_path, put):
    for number in range(6):
        put(f"train/images/{number}.jpg")
        put(f"train/masks/{number}.png", MASK)
    put("valid/images/0.jpg")
    source = read_source(tmp_path)
    assert {photograph.split for photograph in source.photographs} == {"train"}
    assert [(finding.kind, finding.file) for finding in source.findings] == [
        ("missing_mask", "valid/images/0.jpg"),
        ("empty_split", "validation"),
    ]
    put("valid/masks/0.png", np.full((2, 2), 255, np.uint8))  # as is found only when it is read
    audited = with_splits(audit(read_source(tmp_path)))
    assert {record.split for record in audited.records} == {"train"} and len(audited.records) == 6
    kinds = {finding.kind for finding in audited.findings}
    assert {"size_mismatch", "empty_split"} <= kinds


def test_masks_of_ignored_pixels(tmp_path, put, names, found):
    corner, lower, row = (np.zeros((6, 8), np.uint8) for _ in range(3))
    corner[:2, :3], lower[3:], row[:1] = 255, 255, 255
    put("images/train/a.jpg")
    put("labels/train/a.txt", "0 0 0 1 0 1 1 0 1\n")
    put("ignored/train/a.png", corner)
    put("images/b.jpg")
    put("labels/b.txt", "")
    put("ignored/alone.png", corner)
    put("data.yaml", "names: [rust]\n")
    source = read_source(tmp_path, "yolo")
    assert found(source.findings) == [("missing_image", "ignored/alone.png", True)]
    a, b = (photograph.label.read(6, 8) for photograph in sorted(source.photographs, key=lambda p: p.name[-1]))
    np.testing.assert_array_equal(a.ignored, corner == 255)
    np.testing.assert_array_equal(a.mask, corner == 0)
    assert b.ignored is None
    (tmp_path / "ignored" / "b.png").symlink_to("nothing.png")  # may not be taken for none
    assert [record.name for record in audit(read_source(tmp_path, "yolo")).records] == ["train/a"]
    (tmp_path / "ignored" / "b.png").unlink()
    for content, kind in (
        (lower // 2, "unreadable_label"),
        (lower[:, :4], "size_mismatch"),
        (lower | 255, "unreadable_label"),
    ):
        put("ignored/train/a.png", content)
        audited = audit(read_source(tmp_path, "yolo"))
        assert (kind, "images/train/a.jpg", True) in [finding[:2] + finding[3:] for finding in audited.findings]
        assert not any(record.name == "train/a" for record in audited.records)
    put("ignored/train/a.bmp", row)
    source = read_source(tmp_path, "yolo")
    assert names(source) == ["b"] and source.findings[-1].kind == "duplicate_name"


def test_names_that_are_no_utf8_are_text_that_can_be_written(tmp_path, put, names):
    for kind, content in (("images", None), ("masks", MASK)):
        for name in (b"caf\xe9", b"d\xff/x", "é".encode(), b"a\\b", b"two\nlines", "3\u202fPM".encode()):
            put(f"{kind}/{os.fsdecode(name)}.png", content)
    source = read_source(tmp_path)
    assert names(source) == ["3\u202fPM", "a%5Cb", "caf%E9", "d%FF/x", "two%0Alines", "é"] and source.findings == ()
    assert [record.name for record in audit(source).records] == names(source)


def test_augmented_copies_are_one_group_in_all_splits(tmp_path, put):
    for part in ("train", "valid"):
        put(f"{part}/images/a_jpg.rf.{part}.jpg")
        put(f"{part}/masks/a_jpg.rf.{part}.png", MASK)
    assert [photograph.group for photograph in read_source(tmp_path).photographs] == ["a_jpg", "a_jpg"]


def test_order_of_files_does_not_matter(tmp_path, put):
    for folder, order in (("one", "abcd"), ("two", "dbca")):
        for name in order:
            put(f"{folder}/images/{name}.jpg")
            put(f"{folder}/masks/{name}.png", MASK)
    one, two = (read_source(tmp_path / folder) for folder in ("one", "two"))
    assert [each.name for each in one.photographs] == [each.name for each in two.photographs] == list("abcd")


def test_links(tmp_path, put, names):
    put("disk/images/a.jpg")
    put("disk/masks/a.png", MASK)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "disk" / "images")
    (tmp_path / "set" / "masks").symlink_to(tmp_path / "disk" / "masks")
    (tmp_path / "disk" / "images" / "loop").symlink_to(tmp_path / "disk" / "images")
    assert names(read_source(tmp_path / "set")) == ["a"]


def test_links_run_in_circles_and_lose_nothing(tmp_path, put, names):
    """Real folders go before links to them, and links out of the source are followed once."""
    for name in ("b", "c"):
        put(f"set/images/north/{name}.jpg")
        put(f"set/masks/north/{name}.png", MASK)
    put("disk/x.jpg")
    put("labels/x.png", MASK)
    for link, target in (
        ("images/a", "north"),
        ("images/back", ".."),
        ("images/top", "../.."),
        ("images/self", "self"),
        ("images/loop.jpg", "loop.jpg"),
        ("images/disk", "../../disk"),
        ("images/twice", "../../disk"),
        ("masks/disk", "../../labels"),
        ("val", "."),
    ):
        (tmp_path / "set" / link).symlink_to(target)
    (tmp_path / "disk" / "up").symlink_to(tmp_path)
    source = read_source(tmp_path / "set")
    assert names(source) == ["disk/x", "north/b", "north/c"]
    assert [(finding.kind, finding.file) for finding in source.findings] == [("missing_mask", "images/loop.jpg")]


def test_relative_and_odd_paths(tmp_path, put, names, monkeypatch):
    put('it\'s a "set" é/images/a b.jpg')
    put('it\'s a "set" é/masks/a b.png', MASK)
    put('it\'s a "set" é/t.tsv', "Image\tMask\nimages/a b.jpg\tmasks/a b.png\n../t.jpg\tmasks/a b.png\n")
    monkeypatch.chdir(tmp_path / 'it\'s a "set" é')
    assert names(read_source(Path("."), "folder")) == ["a b"]
    source = read_source(Path("t.tsv"))
    assert names(source) == ["a b"]
    assert [finding.kind for finding in source.findings] == ["outside_source"]
