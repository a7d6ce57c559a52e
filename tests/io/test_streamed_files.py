"""Files written part by part, read back by Pillow, numpy and tifffile."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from spotrust_jax.io import streamed_files

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 41, 3), np.uint8)
MAP = np.random.default_rng(1).standard_normal((300, 41)).astype(np.float16)


@pytest.fixture(autouse=True)
def many_windows(monkeypatch):
    monkeypatch.setattr(streamed_files, "_PIXELS_AT_ONCE", 41 * 64)


def test_png(tmp_path):
    with streamed_files.png(tmp_path / "a.png", 300, 41) as writer:
        for window in streamed_files.windows(300, 41):
            writer.write(PICTURE[window])
        assert not (tmp_path / "a.png").exists()
    image = Image.open(tmp_path / "a.png")
    image.verify()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), PICTURE)


def test_maps(tmp_path):
    maps = {"probability": lambda window: MAP[window], "log_variance": lambda window: -MAP[window]}
    streamed_files.write_npz(tmp_path / "maps.npz", maps, 300, 41)
    streamed_files.write_tiff(tmp_path / "maps.tif", maps, 300, 41)
    arrays = np.load(tmp_path / "maps.npz")
    assert arrays.files == ["probability", "log_variance"] and arrays["probability"].dtype == np.float16
    np.testing.assert_array_equal(arrays["log_variance"], -MAP)
    with tifffile.TiffFile(tmp_path / "maps.tif") as tiff:
        assert [page.description for page in tiff.pages] == ["probability", "log_variance"]
        assert all(page.is_tiled for page in tiff.pages)
        np.testing.assert_array_equal(tiff.pages[1].asarray(), -MAP.astype(np.float32))


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), streamed_files.png(tmp_path / "a.png", 300, 41) as writer:
        writer.write(PICTURE[:64])
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_array_on_disk_has_no_name(tmp_path):
    array = streamed_files.on_disk(tmp_path, (3, 4))
    array[1] = 2
    assert array.sum() == 8 and not list(tmp_path.iterdir())
