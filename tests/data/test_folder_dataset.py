"""The folder data set against hand-made folders and, where they are, the 79 labelled photographs."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.folder_writer import write_folder
from spotrust_jax.data.prepare.audit import audit
from spotrust_jax.data.prepare.readers import read_source
from spotrust_jax.errors import InputError
from tests.random_photographs import CARD, Photographs

NAMES = ("09", "089", "090", "a.b", "Ünder score")


def save(path, shape=(4, 6), value=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path, **options)


def make(path, names=NAMES, table=None):
    for i, name in enumerate(names):
        save(path / "images" / f"{name}.png", (4, 6, 3), i)
        save(path / "masks" / f"{name}.png", value=255 * (i % 2))
    if table is not None:
        (path / "splits.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return path


def assert_refused(path, split, *words):
    with pytest.raises(InputError) as caught:
        FolderDataset(path, split)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


TABLE = (
    "name,split,group,note\n09,train,tank,x\n089,validation,,\n090,train,tank,\na.b,test,pipe,\nÜnder score,test,,\n"
)


def test_splits_and_groups_of_the_table(tmp_path):
    make(tmp_path, table=TABLE)
    assert FolderDataset(tmp_path, "train").names == ("09", "090")
    assert FolderDataset(tmp_path, "validation").names == ("089",)
    assert FolderDataset(str(tmp_path), "test").names == ("a.b", "Ünder score")
    everything = FolderDataset(tmp_path, "all")
    assert everything.names == ("089", "09", "090", "a.b", "Ünder score")
    assert [example.group for example in everything] == ["089", "tank", "tank", "pipe", "Ünder score"]
    assert len(everything) == 5


def test_examples(tmp_path):
    dataset = FolderDataset(make(tmp_path, table=TABLE), "all")
    for example in dataset:
        i = NAMES.index(example.name)
        np.testing.assert_array_equal(example.image, np.full((4, 6, 3), i))
        np.testing.assert_array_equal(example.mask, np.full((4, 6), i % 2 == 1))
    assert dataset[-1].name == "Ünder score"
    with pytest.raises(IndexError):
        dataset[5]


@pytest.mark.parametrize(
    "table",
    [
        ("\ufeff" + TABLE).encode(),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace(",", " , ").encode(),
        (TABLE + "\n,,,\n\n").encode(),
        "split,name\ntrain,09\nvalidation,089\ntrain,090\ntest,a.b\ntest,Ünder score".encode(),
        TABLE.replace("a.b", '"a.b"').encode(),
    ],
    ids=["byte order mark", "crlf", "spaces", "blank rows", "two columns", "quotes"],
)
def test_what_spreadsheets_write_is_tolerated(tmp_path, table):
    make(tmp_path, table=table)
    assert FolderDataset(tmp_path, "train").names == ("09", "090")
    assert FolderDataset(tmp_path, "test").names == ("a.b", "Ünder score")


def test_folders_are_part_of_the_names(tmp_path):
    make(tmp_path, ("bridge/1", "tank/1", "tank/top/1"), "name,split\nbridge/1,train\ntank/1,test\ntank/top/1,train\n")
    assert FolderDataset(tmp_path, "train").names == ("bridge/1", "tank/top/1")
    (example,) = FolderDataset(tmp_path, "test")
    assert (example.name, example.image[0, 0, 0], example.mask[0, 0]) == ("tank/1", 1, True)
    (tmp_path / "masks" / "tank" / "1.png").unlink()
    assert_refused(tmp_path, "train", "no mask for tank/1: add it")


def test_without_a_table_folders_named_after_splits_are_the_splits(tmp_path):
    make(tmp_path, ("train/1", "train/2", "val/1", "test/north/1"))
    assert FolderDataset(tmp_path, "train").names == ("train/1", "train/2")
    assert FolderDataset(tmp_path, "validation").names == ("val/1",)
    assert FolderDataset(tmp_path, "test").names == ("test/north/1",)
    make(tmp_path, ("3",))
    assert_refused(tmp_path, "train", "images has 3 in no folder of a split", "splits.csv")
    names = [f"train/{number}" for number in range(5)]
    make(tmp_path / "one", names)  # a training part alone is not split yet
    assert len(FolderDataset(tmp_path / "one", "train")) == 3


def test_without_a_table_the_split_is_six_to_four_by_name(tmp_path):
    names = [f"{i:03d}" for i in range(25)]
    make(tmp_path / "a", names)
    train, validation = (FolderDataset(tmp_path / "a", split) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (15, 10)
    assert sorted(train.names + validation.names) == names == list(FolderDataset(tmp_path / "a", "all").names)
    assert list(train.names) != names[:15]  # not simply the first photographs of a series
    assert train[0].group == train.names[0]
    make(tmp_path / "b", names[::-1])
    assert FolderDataset(tmp_path / "b", "train").names == train.names


def test_the_split_is_the_same_in_another_process(tmp_path):
    make(tmp_path, [f"{i:03d}" for i in range(10)])
    names = "print(*FolderDataset(sys.argv[1], 'train').names)"
    program = f"import sys; from spotrust_jax.data.folder_dataset import FolderDataset; {names}"
    command = [sys.executable, "-c", program, tmp_path]
    root = Path(__file__).parents[2]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert tuple(output.split()) == FolderDataset(tmp_path, "train").names


def test_files_of_other_programs_are_ignored(tmp_path):
    make(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "._09.png", "notes.txt"):
        (tmp_path / "images" / name).write_text("")
    assert len(FolderDataset(tmp_path, "all")) == 5


def test_extensions_in_any_case(tmp_path):
    for name in ("a.JPG", "b.jpeg", "c.Tif", "d.TIFF", "e.bmp", "f.webp", "g.PNG"):
        save(tmp_path / "images" / name, (4, 6, 3))
        save(tmp_path / "masks" / f"{name[0]}.PNG")
    assert FolderDataset(tmp_path, "all").names == tuple("abcdefg")
    assert len(list(FolderDataset(tmp_path, "all"))) == 7


def test_mask_belongs_to_the_photograph_as_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "images" / "a.jpg", (4, 6, 3), exif=exif)
    save(tmp_path / "masks" / "a.png", (6, 4))
    (example,) = FolderDataset(tmp_path, "train")
    assert example.image.shape == (6, 4, 3)
    save(tmp_path / "masks" / "a.png", (4, 6))
    with pytest.raises(InputError) as caught:
        FolderDataset(tmp_path, "train")[0]
    message = str(caught.value)
    assert "\n" not in message
    for word in ("masks/a.png has 6 x 4", "images/a.jpg 4 x 6", "export the mask"):
        assert word in message


def test_mask_far_larger_than_its_photograph_is_not_decoded(tmp_path):
    make(tmp_path, ["a"])
    Image.new("1", (20_000, 20_000)).save(tmp_path / "masks" / "a.png")
    started = time.monotonic()
    with pytest.raises(InputError, match=r"masks/a\.png has 20000 x 20000 = 400,000,000 pixels"):
        FolderDataset(tmp_path, "train")[0]
    (finding,) = audit(read_source(tmp_path)).findings
    assert finding.kind == "unreadable_label" and "400,000,000 pixels" in finding.message
    assert time.monotonic() - started < 2


def test_bad_files_are_named_when_read(tmp_path):
    make(tmp_path, ["a"])
    (tmp_path / "images" / "a.png").write_text("no image")
    with pytest.raises(InputError, match=r"images/a\.png .*copy it again"):
        FolderDataset(tmp_path, "train")[0]
    make(tmp_path, ["a"])
    save(tmp_path / "masks" / "a.png", value=1)
    with pytest.raises(InputError, match=r"masks/a\.png has values \{1\}.*save it"):
        FolderDataset(tmp_path, "train")[0]


def test_missing_and_empty_folders(tmp_path):
    assert_refused(tmp_path / "none", "train", "none does not exist", "check the path")
    (tmp_path / "file").touch()
    assert_refused(tmp_path / "file", "train", "file does not exist or is not a folder", "check the path")
    assert_refused(tmp_path, "train", f"{tmp_path / 'images'} is missing", "images and masks")
    (tmp_path / "images").mkdir()
    assert_refused(tmp_path, "train", f"{tmp_path / 'masks'} is missing", "images and masks")
    (tmp_path / "masks").mkdir()
    assert_refused(tmp_path, "train", f"{tmp_path / 'images'} has no photographs", "put files there", ".jpg")


def test_photographs_without_masks(tmp_path):
    make(tmp_path)
    (tmp_path / "masks" / "09.png").unlink()
    assert_refused(tmp_path, "all", f"{tmp_path / 'masks'} has no mask for 09: add it")
    for name in NAMES[1:]:
        (tmp_path / "masks" / f"{name}.png").unlink()
    assert_refused(tmp_path, "all", "no mask for 089, 09, 090, ... (5 in all)")


def test_two_files_of_one_name(tmp_path):
    save(make(tmp_path) / "images" / "09.jpg", (4, 6, 3))
    assert_refused(tmp_path, "train", "images/09.png", "09.jpg", "rename")
    (tmp_path / "images" / "09.jpg").unlink()
    save(tmp_path / "masks" / "09.bmp")
    assert_refused(tmp_path, "train", "masks/09.png", "09.bmp", "rename")


def test_splits_that_are_not_there(tmp_path):
    make(tmp_path)
    assert_refused(tmp_path, "val", "split val", "use one of train (3), validation (2), or all")
    assert_refused(tmp_path, "test", str(tmp_path), "let prepare_data make one", "add splits.csv", "validation is no")
    make(tmp_path, table="name,split\n" + "".join(f"{name},train\n" for name in NAMES))
    assert_refused(
        tmp_path, "test", str(tmp_path), "no photographs in split test", "train (5)", "let prepare_data make"
    )
    make(tmp_path / "one", ["a"])
    assert_refused(tmp_path / "one", "validation", "no photographs in split validation", "train (1)")


def test_table_and_photographs_must_agree(tmp_path):
    table = str(tmp_path / "splits.csv")
    make(tmp_path, table=TABLE.replace("089,", "89,"))
    assert_refused(tmp_path, "train", table, "names 89, not found", "leading zeros")
    make(tmp_path, table=TABLE.replace("a.b,test,pipe,\n", ""))
    assert_refused(tmp_path, "train", table, "does not name a.b", "add a row")
    make(tmp_path, table=TABLE + "09,test,,\n")
    assert_refused(tmp_path, "train", table, "'09' twice", "remove one")
    make(tmp_path, table=TABLE.replace("validation", "val"))
    assert_refused(tmp_path, "train", table, "'val' for '089'", "use train, validation, test, ")


def test_tables_that_are_none(tmp_path):
    table = str(tmp_path / "splits.csv")
    make(tmp_path, table=TABLE.replace(",", ";"))
    assert_refused(tmp_path, "train", table, "name;split;group;note", "name,split,group")
    make(tmp_path, table="")
    assert_refused(tmp_path, "train", table, "name,split,group")
    make(tmp_path, table=TABLE.encode("utf-16"))
    assert_refused(tmp_path, "train", table, "UTF-8")
    (tmp_path / "splits.csv").unlink()
    (tmp_path / "splits.csv").symlink_to("nowhere.csv")
    assert_refused(tmp_path, "train", table, "link to nothing")  # and no split by hash
    with pytest.raises(InputError, match="link to nothing"):
        read_source(tmp_path)
    (tmp_path / "splits.csv").unlink()
    make(tmp_path, table="name,split\n09\n")
    assert_refused(tmp_path, "train", table, "'' for '09'", "use train, validation, test, ")


def test_labelled_photographs(corrosion_photos):
    datasets = {split: FolderDataset(corrosion_photos, split) for split in ("train", "validation", "test", "all")}
    assert [len(dataset) for dataset in datasets.values()] == [45, 20, 14, 79]
    with (corrosion_photos / "splits.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {"09", "089", "090"} <= set(datasets["all"].names) == set(rows)
    for split in ("train", "validation", "test"):
        assert all(rows[name]["split"] == split for name in datasets[split].names)
    for example in list(datasets["all"])[::10]:
        row = rows[example.name]
        assert example.group == row["group"]
        assert example.mask.mean() == pytest.approx(float(row["corrosion_fraction"]), abs=5.1e-5)
        with Image.open(corrosion_photos / "images" / f"{example.name}.jpg") as image:
            np.testing.assert_array_equal(example.image, np.asarray(image))


def test_folds_of_the_table(tmp_path):
    splits = dict(zip(NAMES, ("fold_0", "fold_10", "fold_2", "fold_0", "test"), strict=True))
    make(tmp_path, table="name,split\n" + "".join(f"{name},{split}\n" for name, split in splits.items()))
    assert FolderDataset(tmp_path, "validation", 0).names == ("09", "a.b")
    assert FolderDataset(tmp_path, "train", 0).names == ("089", "090")
    assert FolderDataset(tmp_path, "train", 10).names == ("09", "090", "a.b")
    assert FolderDataset(tmp_path, "test", 2).names == FolderDataset(tmp_path, "test").names == ("Ünder score",)
    assert FolderDataset(tmp_path, "fold_2").names == ("090",)
    assert len(FolderDataset(tmp_path, "all")) == 5
    assert_refused(tmp_path, "train", "split into folds", "config.data.fold=0 to 10")
    assert_refused(tmp_path, "val", "use one of fold_0 (2), fold_10 (1)")
    with pytest.raises(InputError, match="no fold 1: use one of fold_0, fold_2, fold_10"):
        FolderDataset(tmp_path, "train", 1)
    with pytest.raises(InputError, match="not split into folds"):
        FolderDataset(make(tmp_path / "whole"), "train", 0)


def test_spaces_of_file_names_are_kept(tmp_path):
    make(tmp_path, ["a ", "b"], "name,split\na ,train\n b ,validation\n")
    assert FolderDataset(tmp_path, "train").names == ("a ",)
    assert FolderDataset(tmp_path, "validation").names == ("b",)


def test_what_is_written_comes_back(tmp_path):
    splits = {
        "train": Photographs(["09", "089 ", "a.b, c", "north/09", "north/tank.1/09"]),
        "out_of_distribution_test": Photographs(["Ünder 'score\"", "\u202f"]),
    }
    write_folder(splits, tmp_path, CARD)
    write_folder(splits, tmp_path, CARD)  # as after an interrupted run
    for split, photographs in splits.items():
        dataset = FolderDataset(tmp_path, split)
        assert sorted(photographs.names) == list(dataset.names)
        for example in dataset:
            original = photographs[photographs.names.index(example.name)]
            assert example.group == original.group
            np.testing.assert_array_equal(example.image, original.image)
            np.testing.assert_array_equal(example.mask, original.mask)


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "/below/a", "below//a", "below/../../a", "below/.a", "a/", "..\\a"]
)
def test_names_that_are_no_files_are_not_written(tmp_path, name):
    with pytest.raises(InputError, match=r"cannot be|of one line"):
        write_folder({"train": Photographs([name])}, tmp_path, CARD)
    assert not list(tmp_path.iterdir())


def test_other_photographs_are_not_mixed_in(tmp_path):
    make(tmp_path, ["a", "b"])
    with pytest.raises(InputError, match=r"images has other files already, such as b\.png: give an empty folder"):
        write_folder({"train": Photographs("a")}, tmp_path, CARD)


@pytest.mark.parametrize("folder", ["ignored", "Ignored"])
def test_masks_of_what_is_ignored_are_of_photographs(tmp_path, folder):
    """In a folder in whatever case; one that belongs to no photograph is a name misspelt."""
    for name in ("images/a.png", "masks/a.png", f"{folder}/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image = Image.new("RGB" if name.startswith("images") else "L", (4, 3), 0)
        image.putpixel((1, 2), 255 if image.mode == "L" else (9, 9, 9))
        image.save(tmp_path / name)
    expected = np.zeros((3, 4), bool)
    expected[2, 1] = True
    np.testing.assert_array_equal(FolderDataset(tmp_path, "all")[0].ignored, expected)
    source = read_source(tmp_path)
    np.testing.assert_array_equal(source.photographs[0].label.read(3, 4).ignored, expected)
    assert source.findings == ()
    (tmp_path / folder / "a.png").rename(tmp_path / folder / "A1.png")
    with pytest.raises(InputError, match="has a mask for A1, not found in images: name it"):
        FolderDataset(tmp_path, "all")
