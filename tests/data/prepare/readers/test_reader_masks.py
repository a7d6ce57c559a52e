"""Folders and tables of masks: values, colours, JPEG, and what is missing."""

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.errors import InputError

CORROSION = np.zeros((6, 8), bool)
CORROSION[1:4, 2:7] = True


def coloured(inside=(255, 0, 255), outside=(255, 0, 0), where=CORROSION):
    return np.where(where[..., None], np.uint8(inside), np.uint8(outside))


def label(tmp_path, *classes, format="folder"):
    """The mask of the only photograph, with its findings."""
    ((_, _, label, *_),) = read_source(tmp_path, format, corrosion_classes=classes).photographs
    return label.read(6, 8)


def refusal(tmp_path, *classes, format="folder"):
    with pytest.raises(UnusableError) as caught:
        label(tmp_path, *classes, format=format)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "mask",
    [
        CORROSION.astype(np.uint8) * 255,
        CORROSION,
        coloured((255, 255, 255), (0, 0, 0)),
        coloured(),
    ],
    ids=["0 and 255", "one bit", "black and white", "class colours"],
)
def test_masks_without_a_wish(tmp_path, put, mask):
    put("images/a.jpg")
    put("masks/a.png", mask)
    read = label(tmp_path)
    np.testing.assert_array_equal(read.mask, CORROSION)
    assert read.findings == ()


def test_class_numbers(tmp_path, put):
    put("images/a.jpg")
    numbers = np.arange(48, dtype=np.uint8).reshape(6, 8) % 5
    put("masks/a.png", numbers)
    np.testing.assert_array_equal(label(tmp_path, "2", "4").mask, (numbers == 2) | (numbers == 4))
    error = refusal(tmp_path)
    assert error.kind == "palette"
    for word in ("masks/a.png", "{0, 1, 2, 3, 4}", "--corrosion_classes"):
        assert word in str(error)
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([0, 0, 0, 10, 200, 30, 10, 200, 30, 1, 2, 3, 9, 9, 9])  # two classes of one colour
    palette.save(tmp_path / "masks" / "a.png")
    np.testing.assert_array_equal(label(tmp_path, "2").mask, numbers == 2)


def test_class_numbers_of_sixteen_bits_and_one_bit(tmp_path, put):
    put("images/a.jpg")
    put("masks/a.png", CORROSION.astype(np.uint16) * 1000)
    np.testing.assert_array_equal(label(tmp_path, "1000").mask, CORROSION)
    put("masks/a.png", CORROSION)
    np.testing.assert_array_equal(label(tmp_path, "1").mask, CORROSION)
    np.testing.assert_array_equal(label(tmp_path, "corrosion").mask, CORROSION)
    np.testing.assert_array_equal(label(tmp_path, "0").mask, ~CORROSION)
    assert not label(tmp_path, "3").mask.any()


def test_labelmap(tmp_path, put):
    put("images/a.jpg")
    put("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nGood:0,128,0::\nPoor:128,0,0::\n")
    put("masks/a.png", coloured((128, 0, 0), (0, 128, 0)))
    for wish in ("poor", "2"):
        np.testing.assert_array_equal(label(tmp_path, wish).mask, CORROSION)
    np.testing.assert_array_equal(label(tmp_path, "Good", "Poor").mask, np.ones((6, 8), bool))
    with pytest.raises(InputError, match=r"labelmap.txt has no class 'rust', only background \(0\), Good \(1\), Poor"):
        label(tmp_path, "rust")
    with pytest.raises(InputError, match="none is named corrosion or rust"):
        label(tmp_path)
    palette = Image.fromarray(CORROSION.astype(np.uint8) + 1, "P")  # as Pascal VOC stores them
    palette.putpalette([0, 0, 0, 0, 128, 0, 128, 0, 0])
    palette.save(tmp_path / "masks" / "a.png")
    np.testing.assert_array_equal(label(tmp_path, "Poor").mask, CORROSION)


def test_labelmap_with_bad_rows(tmp_path, put, found):
    put("images/a.jpg")
    put("masks/a.png", coloured((9, 9, 9), (0, 0, 0)))
    put("labelmap.txt", "background:0,0,0::\nrust:9,9,9::\npaint:1,2::\n\n")
    source = read_source(tmp_path)
    assert found(source.findings) == [("table", "labelmap.txt", False)]
    assert "'paint:1,2::'" in source.findings[0].message
    np.testing.assert_array_equal(label(tmp_path).mask, CORROSION)
    put("labelmap.txt", "nothing\n")
    with pytest.raises(InputError, match=r"labelmap.txt has no class: write"):
        read_source(tmp_path)


def test_colours_that_are_no_class(tmp_path, put):
    put("images/a.jpg")
    mask = coloured()
    mask[0, 0] = 0, 255, 7
    put("masks/a.png", mask)
    error = refusal(tmp_path)
    assert error.kind == "palette"
    for word in ("masks/a.png", "(0, 255, 7)", "(255, 0, 255)", "labelmap.txt"):
        assert word in str(error)
    put("masks/a.png", coloured())
    assert refusal(tmp_path, "7").kind == "palette"
    np.testing.assert_array_equal(label(tmp_path, "1").mask, CORROSION)


def test_jpeg_masks(tmp_path, put, found):
    put("images/a.jpg", np.zeros((64, 64, 3), np.uint8))
    where = np.zeros((64, 64), bool)
    where[16:48, 24:40] = True
    for mask in (where.astype(np.uint8) * 255, coloured(where=where)):
        put("masks/a.jpg", mask, quality=80)
        read = label(tmp_path)
        assert found(read.findings) == [("jpeg_mask", "masks/a.jpg", False)]
        assert (read.mask == where).mean() > 0.99
        assert read.mask[20:44, 28:36].all() and not read.mask[:12].any()
    put("masks/a.jpg", where.astype(np.uint8) * 255)
    assert (label(tmp_path, "255").mask == where).all()


def test_jpeg_masks_that_are_too_far_off(tmp_path, put):
    put("images/a.jpg", np.zeros((64, 64, 3), np.uint8))
    mask = np.tile(np.uint8([255, 0, 0]), (64, 64, 1))
    mask[:16, :16] = 0, 200, 0
    put("masks/a.jpg", mask)
    error = refusal(tmp_path)
    assert error.kind == "jpeg_mask"
    for word in ("masks/a.jpg", "%", "as PNG"):
        assert word in str(error)
    put("masks/a.jpg", np.zeros((64, 64), np.uint8))
    assert refusal(tmp_path, "2").kind == "jpeg_mask"
    assert "class numbers" in str(refusal(tmp_path, "2"))


def test_masks_that_cannot_be_read(tmp_path, put):
    put("images/a.jpg")
    put("masks/a.png", "no image")
    assert refusal(tmp_path).kind == "unreadable_label"
    put("masks/a.png", np.zeros((6, 8, 4), np.uint8))
    assert "transparent" in str(refusal(tmp_path))
    put("masks/a.png", np.zeros((6, 8), np.uint8))
    (photograph,) = read_source(tmp_path, max_pixels=47).photographs
    with pytest.raises(UnusableError, match="more than 47"):
        photograph.label.read(6, 8)
    put("masks/a.png", np.zeros((3, 4), np.uint8))
    (photograph,) = read_source(tmp_path).photographs
    assert photograph.label.read(6, 8).mask.shape == (3, 4)  # the caller compares


def test_classes_that_masks_do_not_have(tmp_path, put):
    put("images/a.jpg")
    put("masks/a.png", CORROSION)
    with pytest.raises(InputError, match=r"no class 'rust', only background \(0\), corrosion \(1\)"):
        read_source(tmp_path, corrosion_classes=("rust",))


def test_files_without_partners(tmp_path, put, names, found):
    for name in ("09", "089", "090", "twice", "more", "Ünder 'score\" 1"):
        put(f"images/{name}.png")
    for name in ("09", "090", "twice", "more", "Ünder 'score\" 1", "alone"):
        put(f"masks/{name}.png", CORROSION)
    put("images/twice.jpg")
    put("masks/more.bmp", CORROSION)
    put("images/notes.txt", "")
    put("images/._09.png", "")
    source = read_source(tmp_path)
    assert names(source) == ["09", "090", "Ünder 'score\" 1"]
    assert found(source.findings) == [
        ("missing_mask", "images/089.png", True),
        ("duplicate_name", "images/twice.jpg", True),
        ("duplicate_name", "images/twice.png", True),
        ("missing_image", "masks/alone.png", True),
        ("duplicate_name", "masks/more.bmp", True),
    ]
    for photograph in source.photographs:
        np.testing.assert_array_equal(photograph.label.read(6, 8).mask, CORROSION)


def test_parts_of_a_folder(tmp_path, put, names, found):
    for part in ("train/{}/a", "valid/{}/b", "test/{}/c"):
        put(part.format("images") + ".jpg")
        put(part.format("masks") + ".png", CORROSION)
    put("valid/images/c.jpg")
    put("valid/masks/c.png", CORROSION)
    source = read_source(tmp_path)
    assert [(photograph.name, photograph.split) for photograph in source.photographs] == [
        ("test/c", "test"),
        ("train/a", "train"),
        ("valid/b", "validation"),
        ("valid/c", "validation"),
    ]
    assert source.findings == ()
    put("more/images/train/a.jpg")
    put("more/masks/train/a.png", CORROSION)
    put("more/images/val/b.jpg")
    put("more/masks/val/b.png", CORROSION)
    source = read_source(tmp_path / "more")
    assert [photograph.split for photograph in source.photographs] == ["train", "validation"]


def test_accents_in_either_of_their_spellings(tmp_path, put, names):
    put("images/e\u0301.jpg")
    put("masks/\u00e9.png", CORROSION)
    assert names(read_source(tmp_path)) == ["\u00e9"]


def test_table(tmp_path, put, names, found):
    for name in ("09", "a b", 'q"uote', '"quoted"', "\u00e9"):
        put(f"photos/{name}.jpg")
        put(f"labels/{name}_mask.png", coloured())
    rows = [f"photos/{name}.jpg\tlabels/{name}_mask.png\tx" for name in ("09", "a b", 'q"uote', "e\u0301")]
    rows += ['"photos/""quoted"".jpg"\t"labels/""quoted""_mask.png"\t', "\t\t", ""]
    put("table.tsv", "\ufeffImage\tMask\tNote\r\n" + "\r\n".join(rows))
    source = read_source(tmp_path, "auto")
    assert (source.format, source.findings, source.root) == ("tsv", (), tmp_path)
    assert names(source) == [f"photos/{name}" for name in ('"quoted"', "09", "a b", 'q"uote', "\u00e9")]
    for photograph in source.photographs:
        np.testing.assert_array_equal(photograph.label.read(6, 8).mask, CORROSION)
    assert read_source(tmp_path / "table.tsv") == source


def test_bad_rows_of_a_table(tmp_path, put, names, found):
    put("elsewhere.png")
    for name in ("a", "b"):
        put(f"set/{name}.jpg")
        put(f"set/{name}.png", coloured())
    rows = ["a.jpg\ta.png", "b.jpg", "b.jpg\tnone.png", "none.jpg\ta.png", "b.jpg\t../elsewhere.png"]
    rows += [f"{tmp_path}/elsewhere.png\tb.png"]
    put("set/table.tsv", "\n".join(["Mask\tImage"] + ["\t".join(row.split("\t")[::-1]) for row in rows]))
    source = read_source(tmp_path / "set")
    assert names(source) == ["a"]
    assert sorted(found(source.findings)) == sorted(
        [
            ("table", "table.tsv", True),
            ("missing_mask", "b.jpg", True),
            ("missing_image", "none.jpg", True),
            ("outside_source", "b.jpg", True),
            ("outside_source", f"{tmp_path}/elsewhere.png", True),
        ]
    )
    assert all("table.tsv line" in finding.message for finding in source.findings)


def test_tables_that_cannot_be_used(tmp_path, put):
    put("a.jpg")
    put("a.png", coloured())
    put("one.tsv", "image path\tMask\na.jpg\ta.png\n")
    with pytest.raises(InputError, match=r"one.tsv has the columns .* must have Image and Mask"):
        read_source(tmp_path)
    put("one.tsv", b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"one.tsv cannot be read .* UTF-8"):
        read_source(tmp_path)
    put("two.tsv", "Image\tMask\na.jpg\ta.png\n")
    with pytest.raises(InputError, match=r"several tables .*\(one.tsv, two.tsv\): give one"):
        read_source(tmp_path)
    with pytest.raises(InputError, match=r"has no \.tsv file"):
        read_source(put("x/a.jpg").parent, "tsv")


def test_tables_named_after_splits(tmp_path, put):
    for name in "abc":
        put(f"{name}.jpg")
        put(f"{name}.png", coloured())
    for name, table in zip("abc", ("corrosion_train", "corrosion_val", "test"), strict=True):
        put(f"{table}.tsv", f"Image\tMask\n{name}.jpg\t{name}.png\n")
    source = read_source(tmp_path)
    assert [photograph.split for photograph in source.photographs] == ["train", "validation", "test"]


def with_void(inside=1, border=255):
    """Corrosion of 15 pixels within a border of 20."""
    values = np.full((6, 8), border, np.uint8)
    values[1:4, 2:7] = inside
    values[5], values[:, 0], values[:, -1] = 0, 0, 0
    return values


def test_void_is_never_corrosion(tmp_path, put):
    """0/1/255 masks, as Pascal VOC and mmsegmentation write them."""
    put("images/a.jpg")
    put("masks/a.png", with_void())
    for classes in ((), ("corrosion",)):  # the value 1 has no name
        assert refusal(tmp_path, *classes).kind == "palette"
        assert "{0, 1, 255}, expected {0, 255}" in str(refusal(tmp_path, *classes))
    read = label(tmp_path, "1")
    np.testing.assert_array_equal(read.mask, CORROSION)
    np.testing.assert_array_equal(read.ignored, with_void() == 255)
    assert read.classes == (
        ("value 0", "background", (with_void() == 0).sum()),
        ("value 1", "corrosion", 15),
        ("void", "ignored", (with_void() == 255).sum()),
    )
    read = label(tmp_path, "1", "255")
    np.testing.assert_array_equal(read.mask, with_void() > 0)
    assert read.ignored is None
    put("masks/a.png", CORROSION.astype(np.uint8) * 255)
    assert "255 may be corrosion or void" in str(refusal(tmp_path, "1"))
    np.testing.assert_array_equal(label(tmp_path, "0").mask, ~CORROSION)


@pytest.mark.parametrize("images", ["JPEGImages", "images"])
def test_cvat_and_voc(tmp_path, put, images):
    put("SegmentationObject/a.png", with_void())
    (tmp_path / "SegmentationClass").mkdir()
    for name in "abc":
        put(f"{images}/{name}.jpg")
        palette = Image.fromarray(with_void())
        palette.putpalette([0, 0, 0, 128, 0, 0] + [1] * (3 * 253) + [224, 224, 192])
        palette.save(tmp_path / "SegmentationClass" / f"{name}.png")
    put("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nrust:128,0,0::\n")
    put("ImageSets/Segmentation/train.txt", "a\n")
    put("ImageSets/Segmentation/val.txt", "b\nc\n")
    put("ImageSets/Segmentation/trainval.txt", "a\nb\nc\n")
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("folder", ())
    assert [photograph.split for photograph in source.photographs] == ["train", "validation", "validation"]
    for photograph in source.photographs:
        read = photograph.label.read(6, 8)
        np.testing.assert_array_equal(read.mask, CORROSION)
        np.testing.assert_array_equal(read.ignored, with_void() == 255)


def test_numbers_of_the_rows_of_a_labelmap(tmp_path, put):
    put("images/a.jpg")
    put("labelmap.txt", "background:0,0,0::\npaint:2,2,2::\nrust:128,0,0::\n")
    put("masks/a.png", with_void(inside=2))
    assert "may have colours of labelmap.txt or the numbers" not in str(label(tmp_path))
    np.testing.assert_array_equal(label(tmp_path).mask, CORROSION)
    put("masks/a.png", CORROSION.astype(np.uint8) * 2)  # paint by its colour, rust by its number
    assert "may have colours of labelmap.txt or the numbers" in str(refusal(tmp_path))
    put("masks/a.png", with_void(inside=7))
    assert refusal(tmp_path).kind == "palette"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("Images/a.jpg", "Masks/a.png"),
        ("image/a.jpg", "mask/a.png"),
        ("img_dir/train/a.jpg", "ann_dir/train/a.png"),
        ("images/a.jpg", "masks/a_mask.png"),
    ],
)
def test_names_of_folders_and_masks(tmp_path, put, image, mask):
    put(image)
    put(mask, CORROSION)
    source = read_source(tmp_path)
    assert (source.format, source.findings) == ("folder", ())
    np.testing.assert_array_equal(source.photographs[0].label.read(6, 8).mask, CORROSION)


def test_roboflow(tmp_path, put, names, found):
    for part in ("train", "valid"):
        put(f"{part}/a.jpg")
        put(f"{part}/a_mask.png", CORROSION.astype(np.uint8) * 2)
        put(f"{part}/_classes.csv", "Pixel Value, Class\n0, background\n1, paint\n2, Rust\n")
    put("train/odd.jpg")
    put("train/odd_mask.png", CORROSION.astype(np.uint8) * 9)
    put("train/alone.jpg")
    put("valid/lost_mask.png", CORROSION.astype(np.uint8))
    put("test/_classes.csv", "0, background\nx, rust\n")
    source = read_source(tmp_path)
    assert source.format == "roboflow"
    assert found(source.findings) == [
        ("unreadable_label", "test/_classes.csv", True),
        ("missing_mask", "train/alone.jpg", True),
        ("missing_image", "valid/lost_mask.png", True),
    ]
    assert [(each.name, each.split) for each in source.photographs] == [
        ("train/a", "train"),
        ("train/odd", "train"),
        ("valid/a", "validation"),
    ]
    first, odd, _ = (photograph.label for photograph in source.photographs)
    np.testing.assert_array_equal(first.read(6, 8).mask, CORROSION)
    assert {(name, taken_as) for name, taken_as, _ in first.read(6, 8).classes} == {
        ("background (0)", "background"),
        ("paint (1)", "background"),
        ("Rust (2)", "corrosion"),
    }
    with pytest.raises(UnusableError, match=r"train/odd_mask.png has values \{0, 9\}, expected \{0, 1, 2\}"):
        odd.read(6, 8)
