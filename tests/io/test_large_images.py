"""TIFF read part by part against Pillow reading it whole."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from spotrust_jax.errors import InputError
from spotrust_jax.io.images import read_image
from spotrust_jax.io.large_images import read_large_image

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 93, 4), np.uint8)


@pytest.fixture
def allocated():
    """Reads, and says in how many arrays; none is where the file was left to Pillow."""

    def read(path):
        arrays = []
        image = read_large_image(path, lambda shape: arrays.append(np.zeros(shape, np.uint8)) or arrays[0])
        return image, len(arrays)

    return read


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("channels", "compression"), [(1, "packbits"), (3, "raw"), (4, "tiff_adobe_deflate")])
def test_strips(tmp_path, allocated, channels, compression, orientation):
    path = tmp_path / "a.tif"
    pixels = PIXELS[..., 0] if channels == 1 else PIXELS[..., :channels]
    Image.fromarray(pixels).save(path, compression=compression, tiffinfo={274: orientation})
    image, arrays = allocated(path)
    assert arrays == 1
    np.testing.assert_array_equal(image, read_image(path))


def test_tiles(tmp_path, allocated):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[..., :3], tile=(32, 32), compression="zlib", photometric="rgb")
    image, arrays = allocated(tmp_path / "a.tif")
    assert arrays == 1
    np.testing.assert_array_equal(image, PIXELS[..., :3])


def test_other_files_are_left_to_pillow(tmp_path, allocated):
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[..., :3]).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    for name in ("a.png", "lzw.tif"):
        np.testing.assert_array_equal(allocated(tmp_path / name)[0], PIXELS[..., :3])
    (tmp_path / "broken.tif").write_bytes((tmp_path / "lzw.tif").read_bytes()[:500])
    with pytest.raises(InputError, match="copy it again"):
        allocated(tmp_path / "broken.tif")
