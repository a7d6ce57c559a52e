"""The audit: each fault found and nothing else, near-duplicates, balance, and independence of the order of files."""

import io
import json
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from spotrust_jax.data.prepare.audit import audit, by_split, with_splits
from spotrust_jax.data.prepare.audit_report import as_json, describe
from spotrust_jax.data.prepare.near_duplicates import joined_groups, perceptual_hashes, similar_pairs
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import LabelledPhotograph, LabelMask, Source, UnusableError
from spotrust_jax.errors import InputError

SIZE = (96, 72)  # width and height


def photograph(seed):
    """A picture that differs from those of other seeds, also for a perceptual hash."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(coarse) + rng.normal(0, 4, (72, 96, 3)), 0, 255).astype(np.uint8))


def label(corroded=0.25, size=SIZE):
    """A mask with its upper rows corroded."""
    mask = np.zeros(size[::-1], np.uint8)
    mask[: round(corroded * len(mask))] = 255
    return Image.fromarray(mask)


def png_header(width, height):
    """A PNG of this size without any pixel data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


class Folder:
    """A source under construction: photographs with masks, and the rows of splits.csv."""

    def __init__(self, root):
        self.root = root
        self._rows = []
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True)

    def add(self, stem, image, mask, split="train", image_type="png", mask_type="png"):
        for kind, content, extension in (("images", image, image_type), ("masks", mask, mask_type)):
            if content is not None:
                data = content if isinstance(content, bytes) else encoded(content)
                (self.root / kind / f"{stem}.{extension}").write_bytes(data)
        cell = stem.replace('"', '""')
        self._rows.append(f'"{cell}",{split},\n')

    def write_splits(self):
        (self.root / "splits.csv").write_text("name,split,group\n" + "".join(self._rows), "utf-8")


def with_every_fault(root):
    """A folder with one of each fault, and the findings (kind, file, left out) that an audit of it must have."""
    folder = Folder(root)
    for seed, stem in enumerate(["089", "09", "with space", "Brücke 'Süd' \"2\"", "plain"]):
        folder.add(stem, photograph(seed), label())
    folder.add("test 1", photograph(5), label(), "test")
    folder.add("clean 1", photograph(6), label(0), "validation")
    # A photograph on its side, and its mask upright: nothing is wrong with them.
    exif = Image.Exif()
    exif[0x0112] = 6
    folder.add("turned", encoded(photograph(7), exif=exif), label(size=SIZE[::-1]))

    whole = encoded(photograph(20), "JPEG", quality=90)
    folder.add("truncated", whole[: len(whole) // 2], label(), image_type="jpg")
    folder.add("empty", b"", label())
    folder.add("zero pixels", png_header(0, 72), label())
    folder.add("no image", b"not an image at all", label())
    folder.add("bomb", png_header(30_000, 30_000), label())
    folder.add("large", photograph(21).resize((200, 300)), label(size=(200, 300)))
    folder.add("unlabelled", photograph(22), None)
    folder.add("other size", photograph(24), label(size=(48, 36)))
    folder.add("before the turn", encoded(photograph(25), exif=exif), label())
    folder.add("grey level", photograph(26), Image.fromarray(np.full(SIZE[::-1], 127, np.uint8)))
    folder.add("green", photograph(27), Image.new("RGB", SIZE, (0, 255, 0)))
    folder.add("blurred", photograph(28), encoded(label(), "JPEG", quality=80), mask_type="jpg")
    far_from_every_class = encoded(Image.new("RGB", SIZE, (90, 140, 120)), "JPEG")
    folder.add("beyond tolerance", photograph(29), far_from_every_class, mask_type="jpg")
    folder.add("damaged mask", photograph(30), encoded(label())[:60])
    copy = ImageEnhance.Brightness(photograph(0).resize((80, 60))).enhance(1.1)
    folder.add("copy of 089", encoded(copy, "JPEG"), label(size=(80, 60)), image_type="jpg")
    folder.add("seen in training", photograph(4), label(), "test")
    folder.add("twins", photograph(31), label())
    folder.add("twins", encoded(photograph(32), "JPEG"), None, image_type="jpg")
    folder._rows.pop()
    folder.write_splits()
    # A label without a photograph is in no table.
    (root / "masks" / "stray.png").write_bytes(encoded(label()))
    left_out = {
        ("unreadable_image", "images/truncated.jpg"),
        ("unreadable_image", "images/empty.png"),
        ("unreadable_image", "images/zero pixels.png"),
        ("unreadable_image", "images/no image.png"),
        ("unreadable_image", "images/bomb.png"),
        ("unreadable_image", "images/large.png"),
        ("missing_mask", "images/unlabelled.png"),
        ("missing_image", "masks/stray.png"),
        ("size_mismatch", "images/other size.png"),
        ("size_mismatch", "images/before the turn.png"),
        ("palette", "images/grey level.png"),
        ("palette", "images/green.png"),
        ("jpeg_mask", "images/beyond tolerance.png"),
        ("unreadable_label", "images/damaged mask.png"),
        ("duplicate_name", "images/twins.png"),
        ("duplicate_name", "images/twins.jpg"),
    }
    kept = {
        ("jpeg_mask", "masks/blurred.jpg"),
        ("near_duplicate", "images/copy of 089.jpg"),
        ("leak", "images/seen in training.png"),
        ("no_corrosion", "validation"),
    }
    return {(*finding, True) for finding in left_out} | {(*finding, False) for finding in kept}


def audited_folder(root, **options):
    return with_splits(audit(read_source(root), max_pixels=50_000), **options)


def test_every_fault_is_found_and_nothing_else(tmp_path):
    expected = with_every_fault(tmp_path / "all faults")
    audited = audited_folder(tmp_path / "all faults")
    assert len(audited.findings) == len(expected)
    assert {(finding.kind, finding.file, finding.left_out) for finding in audited.findings} == expected
    names = [record.name for record in audited.records]
    usable = ["089", "09", "with space", "Brücke 'Süd' \"2\"", "plain", "test 1", "clean 1", "turned"]
    assert names == sorted([*usable, "blurred", "copy of 089", "seen in training"])
    assert all("\n" not in finding.message for finding in audited.findings)

    messages = {finding.file.split("/")[-1]: finding.message for finding in audited.findings}
    assert "before the turn that its EXIF orientation asks for" in messages["before the turn.png"]
    assert "48 x 36" in messages["other size.png"] and "96 x 72" in messages["other size.png"]
    assert "30000 x 30000" in messages["bomb.png"] and "remove it" in messages["bomb.png"]
    assert "= 60,000 pixels, more than --max_pixels=50000: raise that" in messages["large.png"]
    assert "looks like images/089.png" in messages["copy of 089.jpg"]
    assert "is pixel for pixel images/plain.png in train" in messages["seen in training.png"]

    text = describe(audited)
    assert "11 photographs usable, 16 files or rows left out" in text
    assert "unreadable_image (6)" in text and "and 1 more in audit.json" in text
    for finding in audited.findings:
        assert f"{finding.kind} (" in text
    json_findings = json.loads(as_json(audited))["findings"]
    assert [tuple(finding.values()) for finding in json_findings] == list(audited.findings)


def test_order_of_files_does_not_matter(tmp_path):
    with_every_fault(tmp_path / "source")
    source = read_source(tmp_path / "source")
    expected = as_json(with_splits(audit(source, max_pixels=50_000)))
    for seed in range(2):
        rng = random.Random(seed)
        photographs = tuple(rng.sample(source.photographs, len(source.photographs)))
        findings = tuple(rng.sample(source.findings, len(source.findings)))
        shuffled = source._replace(photographs=photographs, findings=findings)
        assert as_json(with_splits(audit(shuffled, max_pixels=50_000))) == expected


def test_class_balance(tmp_path):
    folder = Folder(tmp_path / "source")
    folder.add("a", photograph(0), label(0.5))
    folder.add("b", photograph(1).resize((48, 72)), label(0.25, (48, 72)))
    folder.add("c", photograph(2), label(0), "validation")
    folder.add("d", photograph(3), label(1), "test")
    folder.write_splits()
    audited = audited_folder(tmp_path / "source")
    assert list(by_split(audited.records)) == ["train", "validation", "test"]
    values = json.loads(as_json(audited))
    splits = values["splits"]
    half_and_quarter = (36 * 96 + 18 * 48) / (72 * 96 + 72 * 48)
    np.testing.assert_allclose(splits["train"]["corroded_fraction"], half_and_quarter)
    np.testing.assert_allclose(splits["train"]["median_corroded_fraction"], 0.375)
    assert [splits[name]["without_corrosion"] for name in ("train", "validation", "test", "all")] == [0, 1, 0, 1]
    assert [photo["corroded_fraction"] for photo in values["photographs"]] == [0.5, 0.25, 0, 1]
    problems = {finding.file: finding.message for finding in audited.findings}
    assert "no corroded pixel" in problems["validation"] and "nothing but corrosion" in problems["test"]


def test_what_labels_were_taken_as_is_said(tmp_path):
    """Two photographs of 96 x 72: rust of 10 x 10, overlapped by paint of 20 x 10, and nothing."""
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])
    shapes = [("rust", corners), ("paint", corners * [2, 1]), ("no rust", corners + 50)]
    annotations = [
        {"image_id": 1, "category_id": 1 + number, "segmentation": [points.ravel().tolist()]}
        for number, (_, points) in enumerate(shapes)
    ]
    categories = [{"id": 1 + number, "name": name} for number, (name, _) in enumerate(shapes)]
    categories.append({"id": 9, "name": "never drawn"})
    for name in ("a", "b"):
        photograph(ord(name)).save(tmp_path / f"{name}.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "c.json").write_text(json.dumps(content))
    audited = audit(read_source(tmp_path))
    expected = [
        ("rust (1)", "corrosion", 100),
        ("without a label", "background", 2 * 96 * 72 - 200 - 100),
        ("paint (2)", "background", 200),
        ("no rust (3)", "background", 100),
        ("never drawn (9)", "background", 0),
    ]
    assert list(audited.classes) == expected
    classes = json.loads(as_json(audited))["classes"]
    assert [(each["name"], each["taken_as"], each["pixels"]) for each in classes] == expected
    lines = [line.split() for line in describe(audited).splitlines()]
    for name, taken_as, pixels in expected:
        assert [*name.split(), taken_as, f"{pixels:,}", f"{pixels / (2 * 96 * 72):.2%}"] in lines


@pytest.mark.parametrize("source", ["data", "in", "."])
def test_messages_keep_the_letters_of_paths(tmp_path, monkeypatch, source):
    """The source's name also occurs within names below it, and begins one of them."""
    names = ("metadata/1", "data/2", "in/train/3", "main/data/4")
    root = tmp_path / source
    for kind, content in (("images", b"no image"), ("masks", encoded(label()))):
        for name in names:
            path = root / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (root / "images" / "metadata" / "5.png").write_bytes(encoded(photograph(0)))
    (root / "images" / "data" / "6.png").write_bytes(encoded(photograph(0)))
    (root / "masks" / "data" / "6.png").write_bytes(b"no mask")
    monkeypatch.chdir(tmp_path)
    for path in (Path(source), root):
        audited = audit(read_source(path, "folder"))
        text = describe(audited)
        assert "  images/metadata/5.png has no mask masks/metadata/5: label it" in text
        for name in names:
            assert f"  photograph images/{name}.png is damaged" in text
        assert "  images/data/6.png: mask masks/data/6.png is damaged" in text
        assert all(f"photograph {f.file} is" in f.message for f in audited.findings if f.kind == "unreadable_image")


class _Label:
    def __init__(self, corroded=True):
        self._corroded = corroded

    def read(self, height, width):
        return LabelMask(np.full((height, width), self._corroded))


def source_of(folder, images, splits=None, groups=None):
    """A source of these pictures by name."""
    photographs = []
    for name, image in images.items():
        image.save(folder / f"{name}.png")
        split, group = (splits or {}).get(name), (groups or {}).get(name)
        photographs.append(LabelledPhotograph(name, folder / f"{name}.png", _Label(), split, group))
    return Source(folder, "folder", tuple(photographs))


def test_labels_drawn_before_the_exif_turn_are_reported(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    for name, options in (("turned", {"exif": exif}), ("upright", {})):
        photograph(0).save(tmp_path / f"{name}.png", **options)
        points = {"label": "rust", "shape_type": "polygon", "points": [[1, 1], [40, 1], [40, 40]]}
        size = {"imageWidth": 96, "imageHeight": 72} if name == "turned" else {"imageWidth": 9, "imageHeight": 7}
        content = {"imagePath": f"{name}.png", "shapes": [points], **size}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    turned, upright = sorted(audit(read_source(tmp_path, "labelme")).findings, key=lambda f: f.file != "turned.png")
    assert turned.kind == upright.kind == "size_mismatch" and turned.left_out and upright.left_out
    assert "EXIF" in turned.message and "EXIF" not in upright.message


@pytest.mark.parametrize("options", [{}, {"folds": 3}])
def test_near_duplicates_and_groups_are_never_split(tmp_path, options):
    images = {f"p{seed:02}": photograph(seed) for seed in range(12)}
    for seed in range(6):
        turned = photograph(seed).transpose(list(Image.Transpose)[seed])
        images[f"copy of p{seed:02}"] = turned.resize((120, 120))
    groups = {"p00": "bridge", "p11": "bridge", "copy of p01": "bridge"}
    source = source_of(tmp_path, images, groups=groups)
    for seed in range(4):
        audited = with_splits(audit(source), seed=seed, **options)
        splits = {record.name: record.split for record in audited.records}
        assert len({splits[name] for name in ("p00", "p11", "p01", "copy of p00", "copy of p01")}) == 1
        for pair in range(6):
            assert splits[f"p{pair:02}"] == splits[f"copy of p{pair:02}"]
        found = [finding for finding in audited.findings if finding.kind in ("near_duplicate", "leak")]
        assert [finding.kind for finding in found] == ["near_duplicate"] * 6


def test_folds_leave_the_test_split_alone(tmp_path):
    images = {f"p{seed}": photograph(seed) for seed in range(8)} | {"copy": photograph(7)}
    splits = {f"p{seed}": "train" for seed in range(5)} | {"p5": "validation", "p6": "test", "p7": "test"}
    audited = with_splits(audit(source_of(tmp_path, images, splits | {"copy": "train"})), folds=2)
    divided = {record.name: record.split for record in audited.records}
    assert {name for name, split in divided.items() if split == "test"} == {"p6", "p7"}
    assert set(divided.values()) == {"fold_0", "fold_1", "test"}
    leak = next(finding for finding in audited.findings if finding.kind == "leak")
    assert leak.file == "p7.png" and "copy.png in fold_" in leak.message


def test_leaking_group_and_missing_split_of_the_source(tmp_path):
    images = {f"p{seed}": photograph(seed) for seed in range(5)}
    splits = {"p0": "train", "p1": "train", "p2": "test", "p4": "holdout"}
    groups = {"p1": "tank", "p2": "tank"}
    audited = with_splits(audit(source_of(tmp_path, images, splits, groups)))
    found = {(f.kind, f.file, f.left_out): f.message for f in audited.findings if f.kind != "no_corrosion"}
    assert found.keys() == {("leak", "p2.png", False), ("table", "p3.png", True), ("table", "p4.png", True)}
    assert "'tank' has 1 in train, 1 in test" in found["leak", "p2.png", False]
    assert [record.name for record in audited.records] == ["p0", "p1", "p2"]


def test_labels_that_cannot_be_used_are_findings(tmp_path):
    class Bad(_Label):
        def read(self, height, width):
            raise UnusableError("polygon", f"{tmp_path}/b.json has two points: draw it again")

    class Worse(_Label):
        def read(self, height, width):
            raise InputError("c.json is no JSON: export it again")

    source = source_of(tmp_path, {name: photograph(seed) for seed, name in enumerate("abcde")})
    photographs = list(source.photographs)
    photographs[1] = photographs[1]._replace(label=Bad())
    photographs[2] = photographs[2]._replace(label=Worse())
    photographs.append(photographs[0]._replace(name=os.fsdecode(b"caf\xe9")))
    audited = audit(source._replace(photographs=tuple(photographs)))
    assert {(f.kind, f.file): f.message for f in audited.findings} == {
        ("polygon", "b.png"): "b.json has two points: draw it again",
        ("unreadable_label", "c.png"): "c.json is no JSON: export it again",
        ("unreadable_image", "a.png"): "its name 'caf\\udce9' is no text: rename the file",
    }
    assert [record.name for record in audited.records] == ["a", "d", "e"]


def changed(image):
    """Copies of a photograph as they come to stand in data sets, each with a name."""
    width, height = image.size
    yield "jpeg", Image.open(io.BytesIO(encoded(image, "JPEG", quality=30)))
    yield "quarter", image.resize((width // 4, height // 4))
    yield "other aspect", image.resize((width, height * 3 // 4))
    yield "cropped", image.crop((width // 50, height // 50, width - width // 50, height - height // 50))
    yield "cut", image.crop((0, 0, width - width // 50, height - height // 50))
    yield "brighter", ImageEnhance.Brightness(image).enhance(1.4)
    yield "grey", image.convert("L").convert("RGB")
    yield "mirrored", image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    yield "turned", image.transpose(Image.Transpose.ROTATE_90)


def test_copies_look_alike_and_views_of_one_object_do_not(corrosion_photos):
    images = [Image.open(path) for path in sorted((corrosion_photos / "images").iterdir())]
    hashes = np.stack([perceptual_hashes(np.asarray(image)) for image in images])
    assert len(images) == 79 and similar_pairs(hashes).shape == (0, 2)
    for index in range(0, 79, 8):
        for name, copy in changed(images[index]):
            with_copy = np.concatenate([hashes, perceptual_hashes(np.asarray(copy.convert("RGB")))[None]])
            assert similar_pairs(with_copy).tolist() == [[index, 79]], name


def test_similar_pairs_match_counting_bits():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (600, 8, 256), np.uint8)
    bits[500] = bits[3]
    bits[599, 5] = bits[300, 0] ^ (np.arange(256) < 64)  # 64 bits differ in one of the turned positions
    bits[598, 5] = bits[301, 0] ^ (np.arange(256) < 65)
    hashes = np.packbits(bits, axis=-1).view(np.uint64)
    signs = 2.0 * bits - 1
    distances = (256 - np.einsum("ib,jpb->pij", signs[:, 0], signs)).min(0) / 2
    expected = [[i, j] for i, j in np.argwhere(distances <= 64).tolist() if i < j]
    assert expected == [[3, 500], [300, 599]]
    assert similar_pairs(hashes).tolist() == expected


def test_groups_joined_by_chains():
    pairs = np.array([[0, 1], [2, 4], [4, 5]])
    assert joined_groups(["b", "a", "c", "a", "d", "e"], pairs) == ["a", "a", "c", "a", "c", "c"]
    assert joined_groups(["b", "a"], np.empty((0, 2), np.int64)) == ["b", "a"]
