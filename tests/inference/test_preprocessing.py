"""Which files are found under which stems, and sizes and maps against numbers worked out by hand."""

import os
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from spotrust_jax.data.sizes import inference_shape
from spotrust_jax.errors import InputError
from spotrust_jax.inference.preprocessing import fit_image, list_photographs, restore_map, restore_rows

FILES = (
    "b.jpg",
    "a.PNG",
    "deck/1.jpeg",
    "deck/north/2.tif",
    "deck/notes.txt",
    ".cache/x.jpg",
    "deck/._1.jpeg",
    "x.gif",
    "x.svg",
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def stems(pattern):
    return [str(photograph.stem) for photograph in list_photographs(str(pattern))]


def assert_refused(pattern, *words):
    with pytest.raises(InputError) as caught:
        list_photographs(str(pattern))
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(pattern), *words):
        assert word in message


def test_file(folder):
    assert list_photographs(str(folder / "deck" / "1.jpeg")) == [(folder / "deck" / "1.jpeg", PurePosixPath("1"))]
    assert stems(folder / "x.gif") == ["x"]
    assert stems(folder / "deck" / "notes.txt") == ["notes"]


def test_folder(folder):
    found = list_photographs(str(folder))
    assert [str(photograph.stem) for photograph in found] == ["a", "b", "deck/1", "deck/north/2", "x"]
    assert [photograph.path for photograph in found] == [
        folder / name for name in ("a.PNG", "b.jpg", "deck/1.jpeg", "deck/north/2.tif", "x.gif")
    ]
    assert stems(f"{folder}/") == stems(folder)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a", "b", "x"]),
        ("*.jpg", ["b"]),
        ("deck/*", ["1"]),
        ("**/*", ["a", "b", "deck/1", "deck/north/2", "x"]),
        ("**", ["a", "b", "deck/1", "deck/north/2", "x"]),
        ("d*/**/*.tif", ["deck/north/2"]),
        ("deck/**/[0-9].*", ["1", "north/2"]),
        ("deck/?.jpeg", ["1"]),
    ],
)
def test_glob(folder, pattern, expected):
    assert stems(folder / pattern) == expected


def test_relative_to_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert stems("*") == stems("./*") == ["a", "b", "x"]
    assert stems("deck") == stems("deck/**") == ["1", "north/2"]
    assert list_photographs(".")[2] == (Path("deck/1.jpeg"), PurePosixPath("deck/1"))
    assert stems("../in/deck") == ["1", "north/2"]


def test_file_whose_name_looks_like_a_glob(tmp_path):
    (tmp_path / "photo[1].jpg").touch()
    (tmp_path / "photo1.jpg").touch()
    assert stems(tmp_path / "photo[1].jpg") == ["photo[1]"]


def test_names_with_dots(tmp_path):
    (tmp_path / "bridge.2024.05.jpg").touch()
    assert stems(tmp_path) == ["bridge.2024.05"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg", "a.jpg.png", "a.png"]),
        (["a.jpg", "a.jpg.jpg.jpg", "a.jpg.png", "a.png"], ["a.jpg", "a.jpg.jpg", "a.jpg.png", "a.png"]),
        (["a.jpg", "a.jpg.png"], ["a", "a.jpg"]),
        (["d/a.jpg", "e/a.jpg", "e/a.tif"], ["d/a", "e/a.jpg", "e/a.tif"]),
    ],
)
def test_stems_never_clash(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert stems(tmp_path) == expected
    assert stems(tmp_path / "**") == expected


def test_nothing_found(folder, tmp_path):
    assert_refused(tmp_path / "none.jpg", "does not exist", "name a file")
    assert_refused("", "does not exist", "name a file")
    assert_refused(folder / "*.bmp", "has no photographs", ".jpg")
    assert_refused(folder / "deck" / "*.txt", "has no photographs", ".jpg")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "has no photographs", ".jpg")


def test_locked_folder_is_reported_and_loses_no_others(folder, monkeypatch):
    locked, scandir = str(folder / "deck"), os.scandir

    def guarded(path):
        if str(path) == locked:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # file permissions do not hold for the super-user
    assert stems(folder) == ["a", "b", "deck", "x"]
    assert_refused(locked, "cannot be read", "check its permissions")


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_is_not_read_is_listed_unless_a_camera_made_a_readable_one_with_it(tmp_path):
    make(
        tmp_path, "DJI_0001.DNG", "DJI_0002.DNG", "DJI_0002.JPG", "sub/DJI_0001.JPG", "a.psd", "a.mp4", "b.NEF", "b.tif"
    )
    assert stems(tmp_path) == stems(tmp_path / "**") == ["DJI_0001", "DJI_0002", "a", "b", "sub/DJI_0001"]
    assert [photograph.path.name for photograph in list_photographs(str(tmp_path))][1] == "DJI_0002.JPG"
    assert stems(tmp_path / "*") == ["DJI_0001", "DJI_0002", "a", "b"]
    # A raw file that is named is listed, with the error that it is not read.
    assert list_photographs(str(tmp_path / "DJI_0002.DNG"))[0].path.name == "DJI_0002.DNG"


def test_links_run_in_circles_and_lose_nothing(tmp_path):
    """Real folders go before links to them, links to elsewhere are followed once, and broken ones are reported."""
    make(tmp_path, "in/north/1.jpg", "in/2.jpg", "disk/x.jpg", "disk/deep/y.jpg", "other/z.jpg", ".store/w.jpg")
    for link, target in (
        ("in/again", "north"),
        ("in/loop.jpg", "loop.jpg"),
        ("in/gone.jpg", "nothing.jpg"),
        ("in/self", "."),
        ("in/north/up", ".."),
        ("in/top", ".."),
        ("in/disk", "../disk"),
        ("in/twice", "../disk"),
        ("in/stored", "../.store"),
        ("disk/deep/back", "../../in"),
        ("disk/root", "/"),
    ):
        (tmp_path / link).symlink_to(target)
    found = ["2", "disk/deep/y", "disk/x", "gone", "loop", "north/1", "stored/w"]
    assert stems(tmp_path / "in") == found
    assert stems(tmp_path / "in" / "**" / "*.jpg") == found
    assert stems(tmp_path / "in" / "**" / "*y.*") == ["disk/deep/y"]


def test_pipes_are_listed_so_that_they_are_reported(tmp_path):
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for pattern in (tmp_path, tmp_path / "*", tmp_path / "**"):
        assert stems(pattern) == ["a", "pipe"]
    assert stems(tmp_path / "pipe.jpg") == ["pipe"]


@pytest.mark.parametrize(
    ("height", "width", "scale", "expected"),
    [
        (3000, 4000, 640, (480, 640)),
        (4000, 3000, 640, (640, 480)),
        (480, 640, 640, (480, 640)),
        (1080, 1920, 512, (288, 512)),
        (1000, 1000, 500, (512, 512)),  # 500 / 32 = 15.6
        (10, 4000, 640, (32, 640)),
        (50, 100, 256, (128, 256)),  # enlarged
        (3, 4, 64, (64, 64)),  # 48 is half-way between 32 and 64
        (1, 1, 32, (32, 32)),
        (4000, 6000, 512, (352, 512)),  # 3:2, 341 is nearest to 352
        (4000, 5000, 640, (480, 640)),  # 5:4 is taken for 4:3
        (1200, 1920, 640, (416, 640)),  # 16:10 is taken for 3:2
        (1000, 2000, 640, (320, 640)),  # slimmer than the formats of cameras: as it is
        (481, 641, None, (481, 641)),
        (20, 40, None, (32, 40)),
    ],
)
def test_inference_shape(height, width, scale, expected):
    assert inference_shape(height, width, scale) == expected


@pytest.mark.parametrize("scale", [256, 320, 480, 512, 640, 1000])
def test_two_hundred_sizes_meet_few_shapes(scale):
    rng = np.random.default_rng(scale)
    sizes = set()
    while len(sizes) < 200:
        long, short = ((4, 3), (3, 2), (16, 9), (1, 1), (5, 4), (16, 10))[rng.integers(6)]
        width = int(rng.integers(640, 9000))
        sides = (round(width * short / long) + int(rng.integers(-3, 4)), width)
        sizes.add(sides if rng.random() < 0.5 else sides[::-1])
    assert len({inference_shape(height, width, scale) for height, width in sizes}) <= 7


@pytest.mark.parametrize("scale", [31, 0, -640])
def test_scale_too_small(scale):
    with pytest.raises(InputError, match=rf"^scale {scale} is too small: use 32 pixels or more$"):
        inference_shape(480, 640, scale)


def test_fit_image():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    fitted = fit_image(np.full((50, 70, 3), 9, np.uint8), (32, 64))
    np.testing.assert_array_equal(fitted, np.full((32, 64, 3), 9))
    assert fit_image(image, (64, 96)) is image


def test_restore_map_is_linear_between_pixel_centres():
    def plane(height, width):
        y, x = np.mgrid[:height, :width]
        return (3.0 + 2.0 * (y + 0.5) / height - 5.0 * (x + 0.5) / width).astype(np.float32)

    restored = restore_map(plane(8, 16), 40, 48)
    np.testing.assert_allclose(restored[3:-3, 3:-3], plane(40, 48)[3:-3, 3:-3], atol=1e-5)
    np.testing.assert_allclose(restored[0, 0], plane(8, 16)[0, 0], atol=1e-6)  # flat beyond the outer centres
    assert restore_map(restored, 40, 48) is restored


@pytest.mark.parametrize("size", [(400, 700), (23, 31), (90, 31), (90, 70)])
def test_rows_of_a_map_are_those_of_the_whole(size):
    values = np.random.default_rng(0).random((90, 70)).astype(np.float32)
    windows = [slice(start, min(start + 7, size[0])) for start in range(0, size[0], 7)]
    rows = np.concatenate([restore_rows(values, *size, window) for window in windows])
    np.testing.assert_allclose(rows, restore_map(values, *size), atol=2e-6)


def test_restore_map_averages_where_it_shrinks():
    checkerboard = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    np.testing.assert_allclose(restore_map(checkerboard, 16, 16)[2:-2, 2:-2], 0.5, atol=1e-6)
