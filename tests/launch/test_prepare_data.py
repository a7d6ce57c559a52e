"""From a source to a data set on disk, by the program and by the library call behind it."""

import csv
import json
import os
import resource
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.card import DatasetCard, read_card
from spotrust_jax.data.datasets import open_path
from spotrust_jax.data.example_order import sites_of
from spotrust_jax.data.prepare.audit import audit, by_split, with_splits
from spotrust_jax.data.prepare.preparation import prepare
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.data.prepare.source import LabelledPhotograph, LabelMask, Source
from spotrust_jax.errors import InputError
from tests.programs import call

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CARD = DatasetCard("bridges")


def run(*arguments):
    return call("prepare_data", arguments, REPOSITORY)


def photograph(seed, shape=(40, 56)):
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 14, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.NEAREST))


def mask(seed, shape=(40, 56)):
    return np.random.default_rng([seed, 1]).random(shape) < 0.3


NAMES = ["089", "09", "090", "with space", "Brücke", "it's", 'the "new" one', "日本", "x.y", "z"]


@pytest.fixture
def source(tmp_path):
    """A folder of ten photographs with difficult names; that of `z` lies on its side and is turned by its EXIF."""
    root = tmp_path / "photos of 'Brücke' \"2\""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the left as stored
    for seed, name in enumerate(NAMES):
        stored, options = photograph(seed), {}
        if name == "z":
            stored, options = np.rot90(stored), {"exif": exif}
        Image.fromarray(stored).save(root / "images" / f"{name}.png", **options)
        Image.fromarray(mask(seed)).save(root / "masks" / f"{name}.png")
    return root


def contents(folder):
    """Every file below a folder with its bytes and its time of change."""
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in [folder, *folder.rglob("*")]
    }


def assert_prepared(output, names):
    """Every photograph stands in one split, upright, with its own mask."""
    prepared = open_path(output, "all")
    assert sorted(prepared.names) == sorted(names)
    for example in prepared:
        seed = NAMES.index(example.name)
        np.testing.assert_array_equal(example.image, photograph(seed))
        np.testing.assert_array_equal(example.mask, mask(seed))
    parts = [set(open_path(output, split).names) for split in ("train", "validation", "test")]
    assert all(parts) and sum(map(len, parts)) == len(names) and set.union(*parts) == set(names)


def test_program_leaves_out_what_it_lists_and_nothing_else(source, tmp_path):
    broken = source / "images" / "x.y.png"
    broken.write_bytes(broken.read_bytes()[:60])
    before = contents(source)
    output = tmp_path / "data of 'Brücke'"
    arguments = (f"--source={source}", f"--output={output}", "--to=folder", "--licence=CC BY 4.0", "--version=1.2.0")

    strict = run(*arguments, "--strict")
    assert strict.code == 2
    assert strict.stderr.count("error:") == 1 and "1 finding(s)" in strict.stderr and "Traceback" not in strict.stderr
    assert "unreadable_image (1)" in strict.stdout and "images/x.y.png" in strict.stdout
    assert [path.name for path in output.iterdir()] == ["audit.json"]

    done = run(*arguments)
    assert done.code == 0, done.stderr
    assert "9 photographs written" in done.stdout and "warning: 1 files or rows were left out" in done.stderr
    assert_prepared(output, [name for name in NAMES if name != "x.y"])
    audited = json.loads((output / "audit.json").read_text("utf-8"))
    assert [(f["kind"], f["file"], f["left_out"]) for f in audited["findings"]] == [
        ("unreadable_image", "images/x.y.png", True)
    ]
    assert {photo["name"] for photo in audited["photographs"]} == set(open_path(output, "all").names)
    card = read_card(output)
    assert (card.name, card.version, card.licence) == (source.name, "1.2.0", "CC BY 4.0")
    pixels = np.concatenate([example.image.reshape(-1, 3) for example in open_path(output, "train")]) / 255.0
    np.testing.assert_allclose(card.statistics.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(card.statistics.std, pixels.std(axis=0))
    assert sorted(path.name for path in output.iterdir()) == [
        "audit.json",
        "dataset.json",
        "images",
        "masks",
        "splits.csv",
    ]
    assert contents(source) == before

    again = run(*arguments)
    assert again.code == 2 and "is not empty" in again.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--output={source}/data"], "lies in the source"),
        (["--format=vott"], "'vott'"),
        (["--max_pixels=100", "--to=folder"], "no usable photograph"),
    ],
)
def test_bad_input_is_one_line_and_code_two(source, tmp_path, flags, words):
    before = contents(source)
    result = run(f"--source={source}", f"--output={tmp_path}/out", *(flag.format(source=source) for flag in flags))
    assert result.code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and words in errors[0] and "Traceback" not in result.stderr, result.stderr
    assert contents(source) == before


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("taken", {}, "is not empty, it holds file.txt"),
        ("taken/file.txt", {}, "cannot be used"),
        ("new", {"folds": 1}, "--folds=1"),
        ("new", {"folds": 11}, "10 group.*11 folds"),
        ("new", {"train_share": 60.0}, "--train_share=60"),
        ("new", {"card": DatasetCard("x", version="1")}, "version '1'"),
        ("new", {"max_pixels": 100}, "no usable photograph"),
    ],
)
def test_bad_input_writes_no_data_set(source, tmp_path, output, options, words):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file.txt").write_text("someone else's")
    before = contents(source)
    with pytest.raises(InputError, match=words) as caught:
        prepare(read_source(source), tmp_path / output, **{"card": CARD, "report": lambda text: None, **options})
    assert "\n" not in str(caught.value)
    assert contents(source) == before
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file.txt"]
    written = [path.name for path in (tmp_path / "new").iterdir()] if (tmp_path / "new").exists() else []
    assert written in ([], ["audit.json"])


def test_tfds_and_folder_hold_the_same(source, tmp_path):
    read = read_source(source)
    for to in ("tfds", "folder"):
        prepare(read, tmp_path / to, CARD, to=to, seed=1, report=lambda text: None)
        assert_prepared(tmp_path / to, NAMES)
        assert not [path for path in (tmp_path / to).iterdir() if path.name.startswith(".")]
    for split in ("train", "validation"):
        assert open_path(tmp_path / "tfds", split).names == open_path(tmp_path / "folder", split).names


def test_what_is_ignored_is_kept(source, tmp_path):
    """Half of `09` and nothing of the others; corroded is what is not ignored."""
    ignored = np.zeros((40, 56), bool)
    ignored[:20] = True
    (source / "ignored").mkdir()
    Image.fromarray(ignored).convert("L").save(source / "ignored" / "09.png")
    for to in ("tfds", "folder"):
        audited = prepare(read_source(source), tmp_path / to, CARD, to=to, report=lambda text: None)
        examples = {example.name: example for example in open_path(tmp_path / to, "all")}
        assert [name for name, example in examples.items() if example.ignored is not None] == ["09"]
        np.testing.assert_array_equal(examples["09"].ignored, ignored)
        np.testing.assert_array_equal(examples["09"].mask, mask(NAMES.index("09")) & ~ignored)
        record = next(record for record in audited.records if record.name == "09")
        assert record.corroded_fraction == mask(NAMES.index("09"))[20:].mean()
    listed = json.loads((tmp_path / "folder" / "audit.json").read_text("utf-8"))["photographs"]
    assert {photo["name"]: photo["ignored_fraction"] for photo in listed if photo["ignored_fraction"]} == {"09": 0.5}


def test_shares_and_the_papers(source, tmp_path):
    for name, options, sizes in (("default", (), [6, 2, 2]), ("paper", ("--test_share=0",), [6, 4])):
        done = run(f"--source={source}", f"--output={tmp_path / name}", "--to=folder", *options)
        assert done.code == 0, done.stderr
        splits = ("train", "validation", "test")[: len(sizes)]
        assert [len(open_path(tmp_path / name, split)) for split in splits] == sizes


def test_folds(source, tmp_path):
    prepare(read_source(source), tmp_path / "folds", CARD, folds=3, report=lambda text: None)
    folds = [open_path(tmp_path / "folds", f"fold_{fold}").names for fold in range(3)]
    assert sorted(name for fold in folds for name in fold) == sorted(NAMES)
    assert sorted(len(fold) for fold in folds) == [3, 3, 4]


class _BreaksLater:
    """A label that can be read once, for the audit, and no more."""

    def __init__(self):
        self._read = False

    def read(self, height, width):
        if self._read:
            raise InputError("the disk is gone: mount it again")
        self._read = True
        return LabelMask(np.ones((height, width), bool))


@pytest.mark.parametrize("to", ["tfds", "folder"])
def test_failure_while_writing_leaves_no_data_set(source, tmp_path, to):
    images = sorted((source / "images").iterdir())
    photographs = tuple(LabelledPhotograph(path.stem, path, _BreaksLater()) for path in images)
    with pytest.raises(InputError, match="the disk is gone"):
        prepare(Source(source, "folder", photographs), tmp_path / "out", CARD, to=to, report=lambda text: None)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("to", ["tfds", "folder"])
@pytest.mark.parametrize("limit", [100, 9000])
def test_full_disk_is_one_line(source, tmp_path, to, limit):
    """No file may have more bytes than the limit, which the system reports like a full disk."""
    for seed, path in enumerate(sorted((source / "images").iterdir())):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 56, 3), np.uint8)).save(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        done = run(f"--source={source}", f"--output={tmp_path / 'out'}", f"--to={to}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if to == "folder" and limit == 9000:
        assert done.code == 0, done.stderr  # each file is smaller
        return
    assert done.code == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "File too large" in errors[0] and "make room" in errors[0]
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_killed_runs_stand_in_nobodys_way(source, tmp_path):
    """What was not whole is made again; what was, and had not all come to its place, is put there."""
    output, whole = tmp_path / "out", tmp_path / "whole"
    options = {"card": CARD, "to": "folder", "report": lambda text: None}
    prepare(read_source(source), whole, **options)
    (output / ".unfinished" / "images").mkdir(parents=True)
    (output / ".unfinished" / "images" / "09.png").write_bytes(b"half a pic")
    prepare(read_source(source), output, **options)
    assert_prepared(output, NAMES)

    shutil.rmtree(output)
    shutil.copytree(whole, output / ".finished")
    (output / ".finished" / "images").rename(output / "images")
    copied = tmp_path / "copied"
    shutil.copytree(output, copied)
    prepare(read_source(source), output, **options)
    assert_prepared(output, NAMES)
    with pytest.raises(InputError, match="is not empty"):
        prepare(read_source(source), output, **options)
    with pytest.raises(InputError, match="is not empty, an earlier run wrote another data set"):
        prepare(read_source(source), copied, **options, train_share=0.5, test_share=0.4)
    assert_prepared(output, NAMES)
    assert sorted(path.name for path in output.iterdir()) == sorted(path.name for path in whole.iterdir())


class _Waits:
    """A label that says when it is read, and goes on when `release` is set."""

    def __init__(self, reached, go_on):
        self._reached, self._go_on = reached, go_on

    def read(self, height, width):
        self._reached.set()
        self._go_on.wait(60)
        return LabelMask(np.arange(height * width).reshape(height, width) % 2 == 0)


def test_two_runs_into_one_folder(source, tmp_path):
    reached, go_on = threading.Event(), threading.Event()
    images = sorted((source / "images").iterdir())
    slow = Source(source, "folder", tuple(LabelledPhotograph(i.stem, i, _Waits(reached, go_on)) for i in images))
    options = {"card": CARD, "to": "folder", "report": lambda text: None}
    first = threading.Thread(target=prepare, args=(slow, tmp_path / "out"), kwargs=options)
    first.start()
    try:
        reached.wait(60)
        with pytest.raises(InputError, match="is being written by another prepare_data: wait"):
            prepare(read_source(source), tmp_path / "out", **options)
    finally:
        go_on.set()
        first.join()
    assert len(open_path(tmp_path / "out", "all")) == len(NAMES)


def test_output_may_be_a_link_to_an_empty_folder(source, tmp_path):
    (tmp_path / "volume").mkdir()
    os.symlink(tmp_path / "volume", tmp_path / "link")
    prepare(read_source(source), tmp_path / "link", CARD, to="folder", report=lambda text: None)
    assert (tmp_path / "link").is_symlink()
    assert_prepared(tmp_path / "volume", NAMES)


# The masks were drawn with the outlines of the polygons, of which COCO's tools draw fewer pixels.
@pytest.mark.parametrize(("format", "classes", "tolerance"), [("folder", (), 1e-3), ("yolo", ("0",), 6.5e-3)])
def test_nothing_is_wrong_with_the_real_photographs(corrosion_photos, format, classes, tolerance):
    audited = with_splits(audit(read_source(corrosion_photos, format, corrosion_classes=classes)))
    assert audited.findings == ()
    assert {split: len(records) for split, records in by_split(audited.records).items()} == {
        "train": 45,
        "validation": 20,
        "test": 14,
    }
    table = csv.DictReader((corrosion_photos / "splits.csv").open())
    fractions = {row["name"]: float(row["corrosion_fraction"]) for row in table}
    for record in audited.records:
        np.testing.assert_allclose(record.corroded_fraction, fractions[record.name], atol=tolerance)


def test_output_that_tfds_cannot_name_is_one_line(source, tmp_path):
    output = tmp_path / os.fsdecode(b"caf\xe9")
    done = run(f"--source={source}", f"--output={output}")
    assert done.code == 2 and "Traceback" not in done.stderr
    assert "is no Unicode text" in done.stderr and "--to=folder" in done.stderr
    assert run(f"--source={source}", f"--output={output}", "--to=folder").code == 0
    assert_prepared(output, NAMES)


@pytest.mark.parametrize("to", ["folder", "tfds"])
def test_sites_are_kept(source, tmp_path, to):
    """By which training balances its photographs."""
    names = sorted(photograph.name for photograph in read_source(source).photographs)
    rows = [
        f"{name},{('train', 'validation')[i % 2]},{name},{('bridge', 'tank')[i // 2 % 2]}"
        for i, name in enumerate(names)
    ]
    (source / "splits.csv").write_text("\n".join(["name,split,group,site", *rows]))
    expected = {name: site for name, _, _, site in (row.split(",") for row in rows)}
    prepare(read_source(source), tmp_path / "out", card=CARD, to=to, report=lambda text: None)
    dataset = open_path(tmp_path / "out", "all")
    sites = dict(zip(dataset.names, sites_of(dataset), strict=True))
    assert sites == {name: expected[name] for name in sites} and len(sites) > 5
