"""Colour profiles against matrices and curves in float64: the same rust is the same numbers."""

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from spotrust_jax.io.images import read_image, read_mask
from spotrust_jax.io.large_images import read_large_image
from tests.data import icc_profiles
from tests.data.icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, adobe_decoded, grey_profile, in_srgb, srgb_decoded

SPACES = {"Display P3": (DISPLAY_P3, srgb_decoded), "Adobe RGB": (ADOBE_RGB, adobe_decoded)}

# Every 17th level of each channel with every one of the others.
GRID = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3, indexing="ij"), -1).reshape(64, 64, 3)


def matrix_profile(space):
    return icc_profiles.matrix_profile(*SPACES[space])


def read(path, pixels, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return read_image(path)


@pytest.mark.parametrize(("space", "stored"), [("Display P3", (154, 92, 57)), ("Adobe RGB", (146, 89, 54))])
def test_one_rust_in_three_spaces(tmp_path, space, stored):
    pixels = np.full((8, 8, 3), stored, np.uint8)
    np.testing.assert_allclose(in_srgb(stored, *SPACES[space]), (164, 88, 48), atol=0.8)
    for name in ("a.png", "a.tif", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        shown = read(tmp_path / name, pixels, icc_profile=matrix_profile(space), **options)
        np.testing.assert_allclose(shown, np.broadcast_to((164, 88, 48), shown.shape), atol=1)
    shown = read(tmp_path / "a.jpg", pixels, icc_profile=matrix_profile(space), quality=100)
    np.testing.assert_allclose(shown, np.broadcast_to((164, 88, 48), shown.shape), atol=2)


@pytest.mark.parametrize("space", SPACES)
def test_all_colours(tmp_path, space):
    shown = read(tmp_path / "a.png", GRID, icc_profile=matrix_profile(space))
    np.testing.assert_allclose(shown, in_srgb(GRID, *SPACES[space]), atol=1.5)


@pytest.mark.parametrize("index", ["R03", "R98"])
def test_cameras_say_adobe_rgb_in_exif(tmp_path, index):
    """Cameras that are set to it embed no profile, and write the colour space "uncalibrated" and the index R03."""
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ColorSpace: 65535, ExifTags.IFD.Interop: {1: index}}
    shown = read(tmp_path / "a.png", GRID, exif=exif)
    expected = in_srgb(GRID, *SPACES["Adobe RGB"]) if index == "R03" else GRID
    np.testing.assert_allclose(shown, expected, atol=1.5 if index == "R03" else 0)
    # A profile goes before it.
    shown = read(tmp_path / "b.png", GRID, exif=exif, icc_profile=matrix_profile("Display P3"))
    np.testing.assert_allclose(shown, in_srgb(GRID, *SPACES["Display P3"]), atol=1.5)


def test_srgb_stays_as_it_is(tmp_path):
    made_here = icc_profiles.matrix_profile(SRGB, srgb_decoded)
    for profile in (made_here, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        np.testing.assert_array_equal(read(tmp_path / "a.png", GRID, icc_profile=profile), GRID)


def test_transparency_is_laid_on_white_in_srgb(tmp_path):
    alpha = np.linspace(0, 255, GRID[..., 0].size).astype(np.uint8).reshape(64, 64, 1)
    opacity = alpha / 255.0
    expected = in_srgb(GRID, *SPACES["Adobe RGB"]) * opacity + 255 * (1 - opacity)
    pixels = np.concatenate([GRID, alpha], -1)
    np.testing.assert_allclose(
        read(tmp_path / "a.png", pixels, icc_profile=matrix_profile("Adobe RGB")), expected, atol=2
    )


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greyscale_with_a_curve_of_its_own(tmp_path, mode):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(grey).convert(mode)
    linear = (grey / 255.0) ** 1.8
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    shown = read(tmp_path / "a.png", image, icc_profile=grey_profile(lambda encoded: encoded**1.8))
    np.testing.assert_allclose(shown, expected[..., None].repeat(3, -1), atol=1.5)


def test_palette_and_sixteen_bits(tmp_path):
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(indices, "P")
    colours = GRID.reshape(-1, 3)[::16]
    image.putpalette(colours.tobytes())
    shown = read(tmp_path / "a.png", image, icc_profile=matrix_profile("Display P3"))
    np.testing.assert_allclose(shown, in_srgb(colours[indices], *SPACES["Display P3"]), atol=1.5)
    grey = indices.astype(np.uint16) * 257
    shown = read(tmp_path / "b.png", grey, icc_profile=grey_profile(srgb_decoded))
    np.testing.assert_array_equal(shown, indices[..., None].repeat(3, -1))


@pytest.mark.parametrize("damage", ["cut", "noise", "other colours", "empty"])
def test_profiles_that_are_none_lose_no_photograph(tmp_path, damage):
    profile = {
        "cut": matrix_profile("Display P3")[:200],
        "noise": np.random.default_rng(0).bytes(400),
        "other colours": grey_profile(adobe_decoded),
        "empty": b"",
    }[damage]
    np.testing.assert_array_equal(read(tmp_path / "a.png", GRID, icc_profile=profile), GRID)


def test_parts_of_a_tiff_too_large_for_memory(tmp_path):
    Image.fromarray(GRID).save(tmp_path / "a.tif", icc_profile=matrix_profile("Adobe RGB"), tiffinfo={278: 8})
    read_in_parts = read_large_image(tmp_path / "a.tif", lambda shape: np.empty(shape, np.uint8))
    np.testing.assert_allclose(read_in_parts, in_srgb(GRID, *SPACES["Adobe RGB"]), atol=1.5)
    np.testing.assert_array_equal(read_in_parts, read_image(tmp_path / "a.tif"))
    tags = [(34675, "B", None, matrix_profile("Adobe RGB"), True)]
    tifffile.imwrite(tmp_path / "b.tif", GRID.astype(np.float32) / 255, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), read_in_parts)


def test_masks_have_no_colours(tmp_path):
    levels = np.where(GRID[..., :1] > 128, 255, 0).astype(np.uint8).repeat(3, -1)
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=matrix_profile("Adobe RGB"))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), levels[..., 0] == 255)
