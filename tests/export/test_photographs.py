"""The file of a bundle that reads photographs against the library."""

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from spotrust_jax.data.sizes import inference_shape
from spotrust_jax.export import photographs
from spotrust_jax.inference.preprocessing import fit_image, restore_map
from spotrust_jax.io.images import read_image

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)


def saved(path, mode, orientation=1, **options):
    coarse = Image.fromarray(RNG.integers(0, 256, (6, 8, 4), np.uint8), "RGBA").resize((80, 60))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    coarse.convert(mode).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright(tmp_path, orientation):
    path = saved(tmp_path / "a.jpg", "RGB", orientation)
    np.testing.assert_array_equal(photographs.read(path), read_image(path))


@pytest.mark.parametrize(
    ("mode", "name"), [("RGBA", "a.png"), ("L", "a.png"), ("P", "a.png"), ("CMYK", "a.jpg"), ("1", "a.png")]
)
def test_photographs_of_all_kinds(tmp_path, mode, name):
    path = saved(tmp_path / name, mode)
    np.testing.assert_array_equal(photographs.read(path), read_image(path))


@pytest.mark.parametrize(
    "shape", [(480, 640), (640, 480), (90, 160), (100, 100), (65, 300), (3000, 2000), (40, 33), (7, 9)]
)
@pytest.mark.parametrize("scale", [64, 100, 512])
def test_sizes_and_pixels_are_those_of_the_library(shape, scale):
    image = RNG.integers(0, 256, (*shape, 3), np.uint8)
    expected = fit_image(image, inference_shape(*shape, scale))
    np.testing.assert_array_equal(photographs.fitted(image, scale), expected)
    values = RNG.random(expected.shape[:2], np.float32)
    np.testing.assert_allclose(photographs.restored(values, *shape), restore_map(values, *shape), atol=1e-6)
