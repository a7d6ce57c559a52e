"""Photographs without labels: which files are taken, at which size, and what is refused."""

import pytest
from PIL import Image

from spotrust_jax.config import UnlabelledConfig
from spotrust_jax.data.unlabelled import read_photographs
from spotrust_jax.errors import InputError


def _save(path, size=(40, 30), level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)


def _levels(config, seed=0):
    images, held_out = read_photographs(config, seed)
    return [int(image[0, 0, 0]) for image in images], held_out


def test_folders_of_any_depth_and_data_sets_are_read_together(tmp_path):
    _save(tmp_path / "photographs" / "a.png", level=1)
    _save(tmp_path / "photographs" / "deep" / "er" / "a.jpg", level=2)
    _save(tmp_path / "photographs" / ".hidden" / "b.png", level=99)
    (tmp_path / "photographs" / "notes.txt").write_text("no photograph")
    for level, name in enumerate(["x", "y", "below/z", "w"], 3):
        _save(tmp_path / "labelled" / "images" / f"{name}.png", level=level)
    # Masks are no photographs, and what is for validation or test is kept apart.
    _save(tmp_path / "labelled" / "masks" / "x.png", level=255)
    rows = ["name,split", "x,train", "y,validation", "below/z,fold_0", "w,test"]
    (tmp_path / "labelled" / "splits.csv").write_text("\n".join(rows))
    _save(tmp_path / "unlabelled" / "images" / "v.png", level=7)
    paths = ",".join(str(tmp_path / name) for name in ("photographs", "labelled", "unlabelled"))
    levels, held_out = _levels(UnlabelledConfig(paths, held_out=0.4))
    assert sorted(levels) == [1, 2, 3, 5, 7] and held_out == 2
    again, _ = _levels(UnlabelledConfig(paths, held_out=0.4))
    assert again == levels
    assert any(_levels(UnlabelledConfig(paths), seed)[0] != levels for seed in range(1, 4))


def test_only_larger_photographs_are_made_smaller(tmp_path):
    _save(tmp_path / "a, b" / "large.png", size=(200, 100))
    _save(tmp_path / "a, b" / "slim.png", size=(10, 1000))
    _save(tmp_path / "a, b" / "small.png", size=(20, 30))
    images, held_out = read_photographs(UnlabelledConfig(str(tmp_path / "a, b"), long_side=50), seed=0)
    assert sorted(image.shape for image in images) == [(25, 50, 3), (30, 20, 3), (50, 1, 3)] and held_out == 1


def test_scenes_stand_beside_photographs():
    images, held_out = read_photographs(UnlabelledConfig(scenes=3, long_side=64), seed=0)
    assert [image.shape for image in images] == [(64, 64, 3)] * 3 and held_out == 1
    assert len({image.tobytes() for image in images}) == 3


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(InputError, match="has 0 photographs"):
        read_photographs(UnlabelledConfig(), seed=0)
    with pytest.raises(InputError, match="missing, which is no folder"):
        read_photographs(UnlabelledConfig(str(tmp_path / "missing")), seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty, which has no photographs"):
        read_photographs(UnlabelledConfig(str(tmp_path / "empty")), seed=0)
    _save(tmp_path / "one" / "a.png")
    with pytest.raises(InputError, match="has 1 photographs"):
        read_photographs(UnlabelledConfig(str(tmp_path / "one")), seed=0)
    (tmp_path / "one" / "b.jpg").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"photograph .*b.jpg is damaged"):
        read_photographs(UnlabelledConfig(str(tmp_path / "one")), seed=0)


def test_settings_out_of_range_are_refused():
    for values, name in (({"scenes": -1}, "scenes"), ({"long_side": 8}, "long_side"), ({"held_out": 1.0}, "held_out")):
        with pytest.raises(InputError, match=f"data.{name} is"):
            UnlabelledConfig(**values)


def test_only_what_trains_of_a_divided_data_set_is_taken(tmp_path):
    """As FolderDataset divides it: spaces of a spreadsheet are no part of a cell, and folders are splits, too."""
    for level, name in enumerate(["a", "b", "c", "d", "e", "f"]):
        _save(tmp_path / "table" / "images" / f"{name}.png", level=level)
    rows = [
        "name,split",
        "a, train",
        "b, test",
        "c ,validation ",
        "d,out_of_distribution_test",
        "e,out_of_distribution_validation",
        "f,fold_2 ",
    ]
    (tmp_path / "table" / "splits.csv").write_text("\n".join(rows))
    for level, folder in enumerate(["train", "val", "test"], 10):
        _save(tmp_path / "folders" / "images" / folder / "a.png", level=level)
    levels, _ = _levels(UnlabelledConfig(f"{tmp_path / 'table'},{tmp_path / 'folders'}"))
    assert sorted(levels) == [0, 5, 10]
