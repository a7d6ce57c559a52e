"""Which photograph a label means: paths of other machines and servers, one name in several folders."""

from pathlib import Path

import pytest

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.readers.lookup import Wanted, photographs_meant

COCO = {"annotations": [], "categories": [{"id": 1, "name": "rust"}]}


def meant(root, *texts, folder="."):
    """Where each text leads, below the root; None where nowhere."""
    found = photographs_meant(root, [Wanted(Path(root / folder), text) for text in texts])
    return [image.relative_to(root).as_posix() if isinstance(image, Path) else image.kind for image in found]


@pytest.mark.parametrize(
    "text",
    [
        "a b.jpg",
        "images/a b.jpg",
        "../../label-studio/media/upload/4/a b.jpg",
        "..\\..\\media\\a b.jpg",
        "C:\\photos\\a b.jpg",
        "/home/me/photos/a b.jpg",
        "/data/local-files/?d=photos/a%20b.jpg",
        "/data/upload/4/0a1b2c3d-a b.jpg",
        "s3://bucket/photos/a%20b.jpg?signature=x/y",
        "https://host/data/a%20b.jpg#top",
        "A B.JPG",
        "a b.png",
        "a b.json",
    ],
)
def test_one_photograph_of_a_name(tmp_path, put, text):
    put("set/images/a b.jpg")
    put("set/images/other.jpg")
    for folder in ("masks", "SegmentationObject", "ignored"):
        put(f"set/{folder}/a b.png")  # no photograph
    put("a b.jpg")
    assert meant(tmp_path / "set", text) == ["images/a b.jpg"]


def test_nothing_outside_the_source_is_read(tmp_path, put):
    put("c.jpg")
    put("set/images/a.jpg")
    texts = ("../c.jpg", f"{tmp_path}/c.jpg", "c.jpg", "", "..", "\x00", "?d=../../c.jpg", "x" * 5000)
    outside, missing = "outside_source", "missing_image"
    expected = [outside, outside, missing, missing, outside, missing, outside, missing]
    assert meant(tmp_path / "set", *texts) == expected


def test_one_name_in_several_folders(tmp_path, put):
    for flight in ("north", "south"):
        put(f"images/{flight}/DJI_1.jpg")
    assert meant(tmp_path, "/card/south/DJI_1.jpg") == ["images/south/DJI_1.jpg"]
    assert meant(tmp_path, "DJI_1.jpg", folder="json/north") == ["images/north/DJI_1.jpg"]
    assert meant(tmp_path, "DJI_1.jpg", "/card/west/DJI_1.jpg") == ["missing_image"] * 2
    # What another label leads to is not taken a second time.
    assert meant(tmp_path, "images/south/DJI_1.jpg", "DJI_1.jpg") == [
        "images/south/DJI_1.jpg",
        "images/north/DJI_1.jpg",
    ]
    put("images/dji_1.JPG")
    assert meant(tmp_path, "card/dji_1.JPG") == ["images/dji_1.JPG"]


@pytest.mark.parametrize("others", [(), ("a/DJI_2.jpg",), ("a/DJI_2.jpg", "b/DJI_3.jpg")])
def test_a_label_never_takes_the_photograph_of_another_flight(tmp_path, put, others):
    """The photograph of a label is deleted, and another flight's has its name."""
    for name in ("b/DJI_1.jpg", *others):
        put(name)
    assert meant(tmp_path, "DJI_1.jpg", "DJI_1.png", "card/a/DJI_1.jpg", folder="a") == ["missing_image"] * 3
    assert meant(tmp_path, "/card/b/DJI_1.jpg", folder="a") == ["b/DJI_1.jpg"]


@pytest.mark.parametrize(
    "label, photograph",
    [
        ("json/north", "images/south"),
        ("labels/train", "images/val"),
        ("2024/north", "2023/north"),
        ("images", "south"),  # there are photographs beside the label
    ],
)
def test_folders_that_contradict_each_other(tmp_path, put, label, photograph):
    put(f"{photograph}/DJI_1.jpg")
    put("images/DJI_9.jpg")
    assert meant(tmp_path, "DJI_1.jpg", folder=label) == ["missing_image"]


@pytest.mark.parametrize(
    "label, photograph",
    [
        (".", "south"),
        ("json", "images"),
        ("labels_v2", "south"),
        ("annotations", "Photos 2024"),
        ("south", "images"),
        ("south/json", "south/images"),
        ("json/south", "images/south"),
        ("json/south", "images/south/100MEDIA"),
        ("json/2024/south", "images/south"),
    ],
)
def test_labels_in_a_folder_of_their_own(tmp_path, put, label, photograph):
    put(f"{photograph}/DJI_1.jpg")
    assert meant(tmp_path, "DJI_1.jpg", folder=label) == [f"{photograph}/DJI_1.jpg"]


def test_a_folder_with_labels_of_its_own_is_no_other_labels(tmp_path, put):
    put("south/DJI_1.jpg")
    wishes = [Wanted(tmp_path / "json", "DJI_1.jpg"), Wanted(tmp_path / "south", "DJI_2.jpg")]
    assert [found.kind for found in photographs_meant(tmp_path, wishes)] == ["missing_image"] * 2


@pytest.mark.parametrize(
    "folder, text, photograph, alone",
    [
        (".", "1.jpg", "south/1.jpg", True),
        ("labels", "/card/west/1.jpg", "south/1.jpg", True),
        ("labels", "/card/south/1.jpg", "south/1.jpg", False),
        ("labels/south", "1.jpg", "images/south/1.jpg", False),
        ("south", "1.jpg", "south/1.jpg", False),
        ("labels", "C:\\card\\1.jpg", "images/1.jpg", False),
        (".", "1.jpg", "1.jpg", False),
    ],
)
def test_a_match_by_the_file_name_alone_is_a_finding(tmp_path, put, folder, text, photograph, alone):
    put(photograph)
    put("images/9.jpg" if photograph.startswith("images") else "9.jpg")
    images = [{"id": i, "file_name": name, "height": 6, "width": 8} for i, name in enumerate((text, "9.jpg"))]
    put(f"{folder}/c.json", {"images": images} | COCO)
    source = read_source(tmp_path)
    assert photograph in {found.image.relative_to(tmp_path).as_posix() for found in source.photographs}
    matched = [found for found in source.findings if found.kind == "matched_by_name"]
    assert [(found.file, found.left_out) for found in matched] == [(str(Path(folder, "c.json")), False)] * alone
    assert all(f"matched to {photograph} by the file name alone" in found.message for found in matched)


def test_what_the_report_writes_is_read_beside_the_photographs(tmp_path, put):
    """regions_coco.json has paths as they were given to `predict`, from wherever that was started."""
    names = ["/somewhere/else/in/images/0.jpg", "../in/images/1.jpg", "in/images/2.jpg"]
    for name in names:
        put(f"set/images/{Path(name).name}")
    images = [{"id": i, "file_name": name, "height": 6, "width": 8} for i, name in enumerate(names)]
    put("set/regions_coco.json", {"images": images} | COCO)
    source = read_source(tmp_path / "set")
    assert ([photograph.name for photograph in source.photographs], source.findings) == (["0", "1", "2"], ())
