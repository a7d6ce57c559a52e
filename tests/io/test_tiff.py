"""TIFFs of surveying programs and cameras that Pillow does not know, written by tifffile."""

import numpy as np
import pytest
import tifffile

from spotrust_jax.errors import InputError
from spotrust_jax.io.images import count_pixels, read_image
from spotrust_jax.io.large_images import read_large_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (40, 56, 3), np.uint8)
OPACITY = RNG.integers(0, 256, (40, 56, 1), np.uint8)
NEAR_INFRARED = RNG.integers(0, 256, (40, 56, 1), np.uint8)
ON_WHITE = RGB * (OPACITY / 255.0) + 255 * (1 - OPACITY / 255.0)
BANDS = {"photometric": "minisblack"}


def joined(*bands):
    return np.concatenate(bands, axis=-1)


@pytest.mark.parametrize(
    ("pixels", "options", "expected"),
    [
        (np.moveaxis(RGB, -1, 0).copy(), BANDS | {"planarconfig": "separate"}, RGB),
        (np.moveaxis(RGB, -1, 0).copy(), BANDS | {"planarconfig": "separate", "compression": "zlib"}, RGB),
        (joined(RGB, NEAR_INFRARED), BANDS | {"planarconfig": "contig"}, RGB),
        (joined(RGB, NEAR_INFRARED).astype(np.uint16) * 257, BANDS | {"planarconfig": "contig"}, RGB),
        (np.moveaxis(RGB, -1, 0).astype(np.uint16) * 257, {"photometric": "rgb", "planarconfig": "separate"}, RGB),
        (
            joined(RGB, NEAR_INFRARED, OPACITY),
            {"photometric": "rgb", "extrasamples": ["unspecified", "unassalpha"]},
            ON_WHITE,
        ),
        (
            joined(RGB, OPACITY).astype(np.uint16) * 257,
            {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (16, 32), "compression": "zlib"},
            ON_WHITE,
        ),
        (RGB.astype(np.float32) / 255, {"photometric": "rgb"}, RGB),
        (RGB.astype(np.float64) / 255, {"photometric": "rgb", "rowsperstrip": 7}, RGB),
        (RGB[..., 0].astype(np.float32) / 255, BANDS, RGB[..., :1].repeat(3, -1)),
        (RGB[..., 0].astype(np.uint32) * 257, BANDS, RGB[..., :1].repeat(3, -1)),
        (255 - RGB[..., :2], {"photometric": "miniswhite", "planarconfig": "contig"}, RGB[..., :1].repeat(3, -1)),
    ],
    ids=[
        "three bands apart",
        "three bands apart, compressed",
        "four bands",
        "four bands of 16 bits",
        "RGB of 16 bits apart",
        "RGB, near infrared, alpha",
        "RGBA of 16 bits in tiles",
        "float32",
        "float64",
        "float grey",
        "32 bits with 16 used",
        "white is zero",
    ],
)
def test_sound_tiffs(tmp_path, pixels, options, expected):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    np.testing.assert_allclose(read_image(path), expected, atol=1)
    assert count_pixels(path) == 40 * 56
    parts = read_large_image(path, lambda shape: np.full(shape, 77, np.uint8))
    np.testing.assert_array_equal(parts, read_image(path))


def test_sixteen_bits_are_exact(tmp_path):
    levels = RNG.integers(0, 65536, (40, 56, 4), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.round(levels[..., :3] / 65535 * 255))


def test_associated_alpha(tmp_path):
    premultiplied = np.round(RGB * (OPACITY / 255.0)).astype(np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["unspecified", "assocalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", joined(premultiplied, NEAR_INFRARED, OPACITY), **options)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), ON_WHITE, atol=2)


def test_orientation(tmp_path):
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32) / 255, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (RGB.astype(np.float32), {"photometric": "rgb"}, "floating-point values from 0.0 to 255.0, expected 0 to 1"),
        (np.full((4, 4, 3), np.nan, np.float32), {"photometric": "rgb"}, "floating-point values from nan to nan"),
        (RGB.astype(np.int32) - 300, {"photometric": "rgb"}, "32-bit values from -300"),
        (RGB.astype(np.complex64), {"photometric": "rgb"}, r"3 band\(s\) of 64 bits"),
        (
            joined(RGB, RGB).astype(np.uint16),
            {"photometric": "separated"},
            r"6 band\(s\) of 16 bits \(SEPARATED, NONE\)",
        ),
    ],
    ids=["range", "not a number", "negative", "complex", "inks"],
)
def test_others_are_refused_for_what_they_are(tmp_path, pixels, options, words):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(InputError, match=words) as caught:
        read_image(tmp_path / "a.tif")
    message = str(caught.value)
    assert str(tmp_path / "a.tif") in message and "\n" not in message and "damaged" not in message
    assert "8" in message.rsplit(": ", 1)[1]  # the remedy


def test_compression_that_needs_a_package(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32), photometric="rgb")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        content[file.pages[0].tags["Compression"].valueoffset] = 5  # LZW
    (tmp_path / "a.tif").write_bytes(content)
    monkeypatch.setattr(tifffile.tifffile.imagecodecs, "lzw_decode", _absent, raising=False)
    with pytest.raises(InputError, match=r"3 band\(s\) of 32 bits \(RGB, LZW\).*pip install imagecodecs"):
        read_image(tmp_path / "a.tif")


def _absent(*arguments, **options):
    raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")


@pytest.mark.parametrize("share", [0.02, 0.4, 0.99])
def test_damaged(tmp_path, share):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float32) / 255, photometric="rgb")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="copy it again"):
        read_image(tmp_path / "a.tif")
