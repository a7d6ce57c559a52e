"""Photographs are known again by their pixels, whatever they are called and in whichever lossless file they are."""

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.data.card import DatasetCard
from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.seen import SeenPhotographs, photograph_hash, seen_photographs
from spotrust_jax.data.tfds_dataset import TfdsDataset
from spotrust_jax.data.tfds_writer import write_tfds
from spotrust_jax.errors import InputError


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(
            tmp_path / "data" / "images" / f"{name}.jpg"
        )
        Image.fromarray(random.integers(0, 2, (40, 50), np.uint8) * 255).save(
            tmp_path / "data" / "masks" / f"{name}.png"
        )
    return tmp_path / "data"


def test_hash_is_that_of_size_and_pixels(data):
    found = seen_photographs(FolderDataset(data, "all"))
    pixels = [Image.open(data / "images" / f"{name}.jpg").convert("RGB").tobytes() for name in "abc"]
    expected = [hashlib.blake2b(b"(40, 50, 3)" + each, digest_size=8).hexdigest() for each in pixels]
    assert found.names == ("a", "b", "c") and list(found.hashes) == expected
    assert all(len(digest) == 16 for digest in found.hashes)


def test_copies_are_known_again(data, tmp_path):
    seen = seen_photographs(FolderDataset(data, "all"))
    write_tfds({"train": FolderDataset(data, "all")}, tmp_path / "tfds", DatasetCard("data"))
    assert set(seen_photographs(TfdsDataset(tmp_path / "tfds", "train"))) == set(seen)

    copy = shutil.copytree(data, tmp_path / "copy")
    for kind, ending in (("images", "jpg"), ("masks", "png")):
        (copy / kind / f"a.{ending}").rename(copy / kind / f"other.{ending}")
    with Image.open(copy / "images" / "b.jpg") as image:
        image.save(copy / "images" / "b.png", exif=Image.Exif())
    (copy / "images" / "b.jpg").unlink()
    pixels = np.asarray(Image.open(copy / "images" / "c.jpg")).copy()
    pixels[0, 0, 0] ^= 1
    (copy / "images" / "c.jpg").unlink()
    Image.fromarray(pixels).save(copy / "images" / "c.png")
    assert seen_photographs(FolderDataset(copy, "all")).among(seen) == ("b", "other")


def test_a_turned_or_reshaped_picture_is_another_one():
    image = np.zeros((4, 6, 3), np.uint8)
    hashes = {photograph_hash(each) for each in (image, image.reshape(6, 4, 3), image[:, :5])}
    assert len(hashes) == 3
    striped = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert photograph_hash(striped[:, ::-1]) == photograph_hash(striped[:, ::-1].copy()) != photograph_hash(striped)


def test_union_keeps_each_once_and_both_of_one_name():
    one, other = SeenPhotographs(("a", "b"), ("1", "2")), SeenPhotographs(("b", "b"), ("2", "3"))
    assert one | other == SeenPhotographs(("a", "b", "b"), ("1", "2", "3"))
    assert SeenPhotographs() | SeenPhotographs() == SeenPhotographs()
    with pytest.raises(InputError, match="2 names and 1 hashes"):
        SeenPhotographs(("a", "b"), ("1",))
