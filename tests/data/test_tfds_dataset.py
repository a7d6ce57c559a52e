"""tfds data sets: what is read is what was written, with TensorFlow out of reach; folds; damage."""

import concurrent.futures
import json
import pickle
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.config import DataConfig
from spotrust_jax.data import tfds_writer
from spotrust_jax.data.datasets import open_dataset, open_path, training_statistics
from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.data.tfds_dataset import TfdsDataset, read_tfds_card
from spotrust_jax.data.tfds_writer import write_tfds
from spotrust_jax.errors import InputError
from tests.random_photographs import CARD, Photographs

REPOSITORY = Path(__file__).resolve().parents[2]
SPLITS = {"train": Photographs(["10", "09", "089", "Ünder 'score\""]), "test": Photographs(["090", "a.b, c"])}

# Hides an installed TensorFlow as if it were not there, builds, and prints the folder.
BUILD = """
import sys
from importlib.machinery import PathFinder

class WithoutTensorFlow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow
from functools import partial
from pathlib import Path
from spotrust_jax.data.card import DatasetCard
from spotrust_jax.data.datasets import open_path
from spotrust_jax.data.tfds_writer import write_tfds
source, output = sys.argv[1:]
splits = {split: open_path(source, split) for split in ("train", "validation", "test")}
written = write_tfds(splits, Path(output), DatasetCard("photographs"))
assert [example.name for example in open_path(written, "test")] == list(splits["test"].names)
assert "tensorflow" not in sys.modules
print(written)
"""


def assert_equal_examples(one, other):
    assert one.names == other.names and len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert (a.name, a.group) == (b.name, b.group)
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.mask, b.mask)
        assert a.image.dtype == np.uint8 and a.mask.dtype == bool


def assert_refused(words, call, *arguments):
    with pytest.raises(InputError, match=words) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_tfds(SPLITS, tmp_path_factory.mktemp("tfds with spaces"), CARD)


def test_labelled_photographs_without_tensorflow(corrosion_photos, tmp_path):
    command = [sys.executable, "-c", BUILD, str(corrosion_photos), str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "corrosion_segmentation" / "folder" / "1.0.0")]
    for split, size in (("train", 45), ("validation", 20), ("test", 14), ("all", 79)):
        photographs = FolderDataset(corrosion_photos, split)
        assert len(photographs) == size
        if split != "all":
            assert_equal_examples(open_path(tmp_path, split), photographs)
    everything = open_path(tmp_path, "all")
    assert everything.names == photographs.names and {"09", "089", "090"} <= set(everything.names)
    np.testing.assert_array_equal(everything[40].image, photographs[40].image)


def test_order_of_files_does_not_matter(corrosion_photos, tmp_path, monkeypatch):
    """On a third of the photographs, to be quick: the folder lists its files backwards, the data sets give them so."""
    part = FolderDataset(corrosion_photos, "validation")
    monkeypatch.setattr(tfds_writer, "_EXAMPLES_PER_SHARD", 7)
    forwards = write_tfds({"train": part}, tmp_path / "forwards", CARD)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(list(listed(folder))[::-1]))
    backwards = Backwards(FolderDataset(corrosion_photos, "validation"))
    assert backwards.names == part.names[::-1]
    backwards = write_tfds({"train": backwards}, tmp_path / "backwards", CARD)
    monkeypatch.undo()
    files = sorted(path.name for path in forwards.iterdir())
    assert sum("array_record" in name for name in files) == 3
    assert files == sorted(path.name for path in backwards.iterdir())
    for name in files:
        assert (forwards / name).read_bytes() == (backwards / name).read_bytes(), name
    assert_equal_examples(TfdsDataset(backwards, "train"), part)


class Backwards:
    def __init__(self, dataset):
        self._dataset, self.names = dataset, dataset.names[::-1]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self._dataset[len(self) - 1 - index]

    def __iter__(self):
        return (self[index] for index in range(len(self)))


def test_names_and_groups_are_text(written):
    train = TfdsDataset(written, "train")
    assert train.names == ("089", "09", "10", "Ünder 'score\"")
    assert [example.group for example in train] == [f"with {name} and others" for name in train.names]
    assert train[-1].name == "Ünder 'score\""
    with pytest.raises(IndexError):
        train[4]
    assert TfdsDataset(written, "all").names == ("089", "09", "090", "10", "a.b, c", "Ünder 'score\"")


def test_read_by_tfds_itself(written):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(written)
    source = builder.as_data_source("train")
    assert len(source) == 4
    expected = sorted(SPLITS["train"], key=lambda example: example.name)
    for record, example in zip(source, expected, strict=True):
        assert (record["name"].decode(), record["group"].decode()) == (example.name, example.group)
        np.testing.assert_array_equal(record["image"], example.image)
        np.testing.assert_array_equal(record["label"][..., 0], example.mask)
    info = builder.info
    assert (str(info.version), info.citation, info.redistribution_info.license) == ("2.0.1", "@misc{x}", "CC BY 4.0")
    assert info.features["label"].names == ["background", "corrosion"] and info.file_format.value == "array_record"
    by_name = tfds.data_source("corrosion_segmentation/folder", split="test", data_dir=written.parents[2])
    assert [record["name"] for record in by_name] == [b"090", b"a.b, c"]


def without_ignored(examples, *arguments):
    for key, example in examples(*arguments):
        del example["ignored"]
        yield key, example


def test_what_is_ignored_comes_back(tmp_path, monkeypatch):
    class Ignoring(Photographs):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            return example._replace(ignored=example.image[..., 1] > 50) if example.name == "b" else example

    a, b = TfdsDataset(write_tfds({"train": Ignoring("ab")}, tmp_path / "now", CARD), "train")
    assert a.ignored is None
    np.testing.assert_array_equal(b.ignored, Ignoring("ab")[1].ignored)
    # A data set of before, when nothing was said of it.
    monkeypatch.delitem(tfds_writer._FEATURES, "ignored")
    monkeypatch.setattr(tfds_writer, "_examples", partial(without_ignored, tfds_writer._examples))
    before = write_tfds({"train": Ignoring("ab")}, tmp_path / "before", CARD)
    monkeypatch.undo()
    for example, original in zip(TfdsDataset(before, "train"), Ignoring("ab"), strict=True):
        assert example.ignored is None
        np.testing.assert_array_equal(example.mask, original.mask)


def test_card_comes_back(written, tmp_path):
    assert read_tfds_card(written) == CARD
    config = DataConfig(path=str(written.parents[2]))
    assert training_statistics(config, open_dataset(config, "train")) == CARD.statistics
    bare = write_tfds({"train": Photographs("a")}, tmp_path, CARD._replace(statistics=None))
    assert read_tfds_card(bare) == CARD._replace(statistics=None)


def test_scenes_are_a_config_of_their_own(tmp_path):
    scenes = {split: SceneDataset(DEMO_SCENES, split, 2) for split in ("train", "test")}
    folder = write_tfds(scenes, tmp_path, CARD, "scenes")
    assert folder == tmp_path / "corrosion_segmentation" / "scenes" / "2.0.1"
    for split, dataset in scenes.items():
        assert_equal_examples(open_path(tmp_path, split), dataset)


def test_folds(tmp_path):
    splits = {f"fold_{k}": Photographs(names) for k, names in enumerate(("ax", "by", "c"))}
    folder = write_tfds({**splits, "test": Photographs("z")}, tmp_path, CARD)
    config = DataConfig(path=str(folder), fold=1)
    assert open_dataset(config, "train").names == ("a", "c", "x")
    assert open_dataset(config, "validation").names == ("b", "y")
    assert open_dataset(config, "test").names == ("z",)
    assert [example.name for example in TfdsDataset(folder, "train", 2)] == ["a", "b", "x", "y"]
    assert TfdsDataset(folder, "fold_0").names == ("a", "x")
    assert_refused("split into folds.*config.data.fold=0 to 2", TfdsDataset, folder, "train")
    assert_refused("no fold 3: use one of fold_0, fold_1, fold_2", TfdsDataset, folder, "train", 3)


def test_threads_and_other_processes_may_read(written):
    train = TfdsDataset(written, "train")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        examples = list(threads.map(lambda index: train[index % 4], range(200)))
    expected = list(train)
    assert all(np.array_equal(found.image, expected[i % 4].image) for i, found in enumerate(examples))
    assert_equal_examples(pickle.loads(pickle.dumps(train)), train)


def test_photographs_above_pillows_limit(written, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert len(list(TfdsDataset(written, "all"))) == 6
    assert Image.MAX_IMAGE_PIXELS == 1


def test_no_such_data_set_or_split(written, tmp_path):
    assert_refused("has no photographs in split val: use one of test .2., train .4., or all", open_path, written, "val")
    assert_refused("not split into folds", open_path, written, "train", 0)
    assert_refused("is not a tfds data set", TfdsDataset, tmp_path, "train")
    assert_refused("does not exist", open_path, tmp_path / "nothing", "train")
    assert_refused("images is missing", open_path, tmp_path, "train")
    for version in ("1.0.0", "2.0.0"):
        shutil.copytree(written, tmp_path / version)
    assert_refused(r"several data sets: give the path of one, such as .*2\.0\.0", open_path, tmp_path, "train")


def test_a_version_does_not_change(written):
    output = written.parents[2]
    assert_refused("is there already.*another version", write_tfds, SPLITS, output, CARD)
    newer = write_tfds({"train": Photographs("a")}, output, CARD._replace(version="2.1.0"))
    assert len(TfdsDataset(newer, "train")) == 1
    shutil.rmtree(newer)
    assert len(TfdsDataset(output, "train")) == 4


def test_a_photograph_that_cannot_be_read_leaves_nothing_behind(tmp_path):
    class Broken(Photographs):
        def __getitem__(self, index):
            if index == 1:
                raise InputError("photograph b is damaged")
            return super().__getitem__(index)

    assert_refused("photograph b is damaged", write_tfds, {"train": Broken("abc")}, tmp_path, CARD)
    assert not [path for path in tmp_path.rglob("*") if "record" in path.name or path.name == "dataset_info.json"]


RECORDS = "corrosion_segmentation-train.array_record-00000-of-00001"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (RECORDS, lambda old: None),
        (RECORDS, lambda old: b""),
        (RECORDS, lambda old: old[: len(old) // 2]),
        (RECORDS, lambda old: old[:200] + bytes(64) + old[264:]),
        ("dataset_info.json", lambda old: b"{"),
        ("dataset_info.json", lambda old: b"{}"),
        ("dataset_info.json", lambda old: old.replace(b'"4"', b'"3"')),
        ("features.json", lambda old: None),
        ("features.json", lambda old: b"[]"),
        ("metadata.json", lambda old: None),
        ("metadata.json", lambda old: b"{"),
        ("metadata.json", lambda old: json.dumps({"names": {}}).encode()),
    ],
)
def test_damage_is_one_line(written, tmp_path, file, change):
    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    new = change((folder / file).read_bytes())
    (folder / file).unlink() if new is None else (folder / file).write_bytes(new)
    assert_refused(r"copy.* is (damaged|a tfds data set without)", lambda: list(open_path(folder, "train")))
