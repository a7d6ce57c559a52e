"""Every kind of file, made here with Pillow or byte by byte, against arrays worked out by hand or in numpy."""

import csv
import io
import os
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from spotrust_jax.errors import InputError
from spotrust_jax.io import image_files, images
from spotrust_jax.io.image_files import IMAGE_EXTENSIONS
from spotrust_jax.io.images import count_pixels, read_image, read_mask, resize_image, resize_mask

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREY = RGB[..., 0]


def save(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def assert_refused(read, path, *words, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *chunks):
    """A PNG file of one's own, for kinds that Pillow cannot write."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(chunks) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def grey_tiff(bits, photometric, pixels, width, height):
    """An uncompressed greyscale TIFF file of one strip."""
    values = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    values += [(273, 0), (277, 1), (278, height), (279, len(pixels))]
    start = 8 + 2 + 12 * len(values) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in values)
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + pixels


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "TIFF"])
def test_lossless_rgb_is_read_exactly(tmp_path, extension):
    image = read_image(save(tmp_path / f"a.{extension}", RGB))
    np.testing.assert_array_equal(image, RGB)
    assert image.flags.writeable


def test_jpeg_and_lossless_webp(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 48, 3))
    np.testing.assert_allclose(read_image(save(tmp_path / "a.jpg", smooth, quality=95)), smooth.astype(int), atol=4)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.webp", RGB, lossless=True)), RGB)


def test_extension_does_not_matter(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "photo", RGB, format="PNG")), RGB)


def test_greyscale_and_one_bit(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", GREY)), np.stack([GREY] * 3, -1))
    bits = GREY > 128
    expected = np.where(bits, 255, 0)[..., None].repeat(3, -1)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", Image.fromarray(bits))), expected)


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    colours = np.array([[10, 20, 30], [200, 100, 0], [7, 8, 9]])
    image.putpalette(colours.astype(np.uint8).tobytes())
    expected = colours[[[0, 1, 2], [2, 1, 0]]]
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", image)), expected)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.gif", image)), expected)
    transparent = np.where(expected == colours[1], 255, expected)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", image, transparency=1)), transparent)
    alphas = np.array([255, 0, 51])  # 51 is a fifth
    blended = np.round(colours * alphas[:, None] / 255 + 255 * (1 - alphas[:, None] / 255))
    read = read_image(save(tmp_path / "c.png", image, transparency=bytes(alphas.tolist())))
    np.testing.assert_allclose(read, blended[[[0, 1, 2], [2, 1, 0]]], atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white(tmp_path, mode):
    alpha = np.linspace(0, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)
    colours = RGB if mode == "RGBA" else np.stack([GREY] * 3, -1)
    pixels = np.concatenate([colours if mode == "RGBA" else GREY[..., None], alpha[..., None]], -1)
    opacity = alpha[..., None] / 255.0
    expected = colours * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(read_image(save(tmp_path / "a.png", pixels)), expected, atol=1)


def test_transparent_colour_of_an_rgb_file(tmp_path):
    pixels = np.array([[[1, 2, 3], [40, 50, 60]]], np.uint8)
    read = read_image(save(tmp_path / "a.png", pixels, transparency=(1, 2, 3)))
    np.testing.assert_array_equal(read, [[[255, 255, 255], [40, 50, 60]]])


def test_cmyk(tmp_path):
    cyan, magenta_black = (255, 0, 0, 0), (0, 255, 0, 128)
    image = Image.new("CMYK", (32, 16), cyan)
    image.paste(magenta_black, (16, 0, 32, 16))
    expected = np.zeros((16, 32, 3))
    expected[:, :16] = 0, 255, 255
    expected[:, 16:] = 127, 0, 127
    np.testing.assert_allclose(read_image(save(tmp_path / "a.tif", image)), expected, atol=1)
    np.testing.assert_allclose(read_image(save(tmp_path / "a.jpg", image, quality=100)), expected, atol=6)


SIXTEEN = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], np.uint16)
SIXTEEN_AS_EIGHT = np.round(SIXTEEN / 65535.0 * 255)[..., None].repeat(3, -1)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2"])
def test_sixteen_bit_greyscale(tmp_path, name):
    np.testing.assert_array_equal(read_image(save(tmp_path / name, SIXTEEN)), SIXTEEN_AS_EIGHT)


def test_sixteen_bit_greyscale_big_endian_and_in_a_wider_type(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", SIXTEEN.astype(">u2"))), SIXTEEN_AS_EIGHT)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.tif", SIXTEEN.astype(np.int32))), SIXTEEN_AS_EIGHT)


def test_sixteen_bit_greyscale_with_white_as_zero(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(grey_tiff(16, 0, (65535 - SIXTEEN).astype("<u2").tobytes(), 4, 2))
    np.testing.assert_array_equal(read_image(path), SIXTEEN_AS_EIGHT)


def test_twelve_bit_greyscale(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(grey_tiff(12, 1, bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10]), 4, 1))  # 0, 0x800, 0xFFF, 0x010
    expected = np.round(np.array([0, 0x800, 0xFFF, 0x010]) / 4095 * 255)
    np.testing.assert_array_equal(read_image(path), expected[None, :, None].repeat(3, -1))


def test_sixteen_bit_colour(tmp_path):
    pixels = np.array([[[65535, 0, 32768], [1000, 2000, 60000]]], ">u2")
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, 16, 2, b"\0" + pixels.tobytes()))
    np.testing.assert_allclose(read_image(path), pixels / 65535.0 * 255, atol=1)  # Pillow keeps the upper byte


def test_wide_integers_and_floats_are_refused(tmp_path):
    assert_refused(read_image, save(tmp_path / "wide.tif", np.array([[0, 70000]], np.int32)), "0 to 70000", "16 bits")
    assert_refused(read_image, save(tmp_path / "negative.tif", np.array([[-1, 7]], np.int32)), "-1 to 7", "16 bits")
    assert_refused(read_image, save(tmp_path / "a.tif", RGB[..., 0].astype(np.float32)), "floating-point", "16 bits")


# How pixels stored with each orientation must be turned to stand upright (EXIF 2.32, tag 0x0112).
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


def with_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation(tmp_path, orientation):
    exif = with_orientation(orientation)
    expected = TURNS[orientation](RGB)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", RGB, exif=exif)), expected)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.webp", RGB, exif=exif, lossless=True)), expected)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", RGB, tiffinfo={274: orientation})), expected)
    grey = np.stack([TURNS[orientation](SIXTEEN_AS_EIGHT[..., 0])] * 3, -1)
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", SIXTEEN, exif=exif)), grey)
    plain = read_image(save(tmp_path / "plain.jpg", RGB, quality=100))
    turned = read_image(save(tmp_path / "a.jpg", RGB, quality=100, exif=exif))
    np.testing.assert_array_equal(turned, TURNS[orientation](plain))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0not an exif block", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", with_orientation(77)]
)
def test_damaged_exif_does_not_lose_the_photograph(tmp_path, exif):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", RGB, exif=exif)), RGB)


def test_pillows_limit_does_not_get_in_the_way(tmp_path, monkeypatch):
    paths = [save(tmp_path / name, RGB) for name in ("a.png", "a.tif", "a.webp")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            assert read_image(path).shape == RGB.shape
    assert Image.MAX_IMAGE_PIXELS == 10


def test_size_is_checked_before_anything_is_decoded(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png(30_000, 20_000, 8, 2, b""))
    assert_refused(read_image, path, "30000 x 20000", "600,000,000", "500,000,000", "save it smaller")
    assert_refused(read_mask, path, "600,000,000", "save it smaller")
    assert_refused(read_image, save(tmp_path / "a.png", RGB), "54 pixels", "save it smaller", max_pixels=53)
    assert read_image(tmp_path / "a.png", max_pixels=54).shape == RGB.shape


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_what_is_no_image_is_one_clear_line(tmp_path, read):
    assert_refused(read, tmp_path / "missing.jpg", "does not exist", "check the path")
    assert_refused(read, tmp_path, "check path and permissions")
    (tmp_path / "empty.jpg").touch()
    assert_refused(read, tmp_path / "empty.jpg", "is empty", "copy it again")
    (tmp_path / "text.jpg").write_text("not an image\n" * 9)
    assert_refused(read, tmp_path / "text.jpg", "not a JPEG", "convert it to PNG")
    (tmp_path / "page.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert_refused(read, tmp_path / "page.jpg", "not a JPEG", "convert it to PNG")
    (tmp_path / "pixels.png").write_bytes(png(0, 5, 8, 0, b""))
    assert_refused(read, tmp_path / "pixels.png", "copy it again")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_truncated(tmp_path, kind, share):
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
    assert_refused(read_image, path, "copy it again")


def test_damaged_in_the_middle(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    assert_refused(read_image, path, "copy it again")


MASK = GREY > 128
LEVELS = np.where(MASK, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_mask_of_one_channel_one_bit_or_three_equal_ones(tmp_path, name):
    for image in (LEVELS, np.stack([LEVELS] * 3, -1), Image.fromarray(MASK), Image.fromarray(LEVELS).convert("P")):
        np.testing.assert_array_equal(read_mask(save(tmp_path / name, image)), MASK)


def test_mask_with_palette_counts_colours_not_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", image)), [[False, True, True]])
    image.putpalette([0, 0, 0, 128, 0, 0])
    assert_refused(read_mask, save(tmp_path / "b.png", image), "(128, 0, 0)", "save it with 0 for background")


def test_mask_of_one_class_and_in_sixteen_bits(tmp_path):
    assert not read_mask(save(tmp_path / "a.png", np.zeros((3, 4), np.uint8))).any()
    assert read_mask(save(tmp_path / "b.png", np.full((3, 4), 255, np.uint8))).all()
    np.testing.assert_array_equal(read_mask(save(tmp_path / "c.png", LEVELS.astype(np.uint16))), MASK)


def test_mask_with_alpha(tmp_path):
    opaque = np.stack([LEVELS] * 3 + [np.full_like(LEVELS, 255)], -1)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", opaque)), MASK)
    painted = np.stack([np.full_like(LEVELS, 255)] * 3 + [LEVELS], -1)
    assert_refused(read_mask, save(tmp_path / "b.png", painted), "transparent", "save it with 0 for background")


def test_mask_with_other_values_is_refused(tmp_path):
    levels = np.array([[0, 127, 255]], np.uint8)
    path = save(tmp_path / "0431.png", levels)
    with pytest.raises(InputError) as caught:
        read_mask(path)
    remedy = "save it with 0 for background and 255 for corrosion"
    assert str(caught.value) == f"mask {path} has values {{0, 127, 255}}, expected 0 and 255: {remedy}"
    assert_refused(read_mask, save(tmp_path / "a.png", levels // 100), "{0, 1, 2}", remedy)
    assert_refused(read_mask, save(tmp_path / "b.png", np.stack([levels] * 3, -1)), "{0, 127, 255}", remedy)
    many = np.arange(10, 250, dtype=np.uint8)[None]
    assert_refused(read_mask, save(tmp_path / "c.png", many), "{10, 11, 12, 13, 14, 15, ...}", remedy)
    assert_refused(read_mask, save(tmp_path / "d.tif", np.array([[0.0, 0.5]], np.float32)), "{0.0, 0.5}", remedy)


def test_jpeg_mask(tmp_path):
    square = np.zeros((40, 40), np.uint8)
    square[5:20, 7:30] = 255
    assert_refused(read_mask, save(tmp_path / "a.jpg", square), "JPEG blurs labels", "as PNG")
    assert not read_mask(save(tmp_path / "b.jpg", 0 * square)).any()


def test_orientation_of_a_mask_is_ignored(tmp_path):
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", LEVELS, exif=with_orientation(6))), MASK)


def test_masks_of_the_labelled_photographs(corrosion_photos):
    with (corrosion_photos / "splits.csv").open(newline="") as file:
        fractions = {row["name"]: float(row["corrosion_fraction"]) for row in csv.DictReader(file)}
    paths = sorted((corrosion_photos / "masks").iterdir())
    assert [path.stem for path in paths] == sorted(fractions)
    for path in paths:
        mask = read_mask(path)
        assert mask.mean() == pytest.approx(fractions[path.stem], abs=5.1e-5)  # four decimals
        with Image.open(path) as image:
            np.testing.assert_array_equal(mask, np.asarray(image) == 255)


def triangle_weights(old, new):
    """Rows of weights of linear interpolation at half-pixel centres, the triangle widened where it shrinks, float64."""
    scale = old / new
    centres = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(old)[None] - centres) / max(scale, 1))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(6, 9), (3, 4), (2, 20), (17, 31)])
def test_resize_image(size):
    expected = np.einsum("Hh,hwc,Ww->HWc", triangle_weights(6, size[0]), RGB, triangle_weights(9, size[1]))
    np.testing.assert_allclose(resize_image(RGB, *size), expected, atol=1.01)  # rounded once along each axis
    assert resize_image(RGB, 6, 9) is RGB


def test_resize_mask_by_area():
    mask = np.random.default_rng(2).random((12, 18)) < 0.5
    coverage = mask.reshape(4, 3, 6, 3).mean((1, 3))
    np.testing.assert_array_equal(resize_mask(mask, 4, 6), coverage >= 0.5)
    ties = np.tile(np.array([[1, 0, 1], [0, 1, 0]], bool), (3, 4))  # 6 x 12, half of every 6 x 6
    np.testing.assert_array_equal(resize_mask(ties, 1, 2), [[True, True]])
    np.testing.assert_array_equal(resize_mask(mask, 24, 54), mask.repeat(2, 0).repeat(3, 1))
    assert resize_mask(mask, 12, 18) is mask


def test_what_pillow_reads_is_read(tmp_path):
    """Every extension by which Pillow knows a format that is read, and that no other program shares."""
    known = {
        extension for extension, kind in Image.registered_extensions().items() if kind in (*images._FORMATS, "MPO")
    }
    assert known - {".pfm"} <= IMAGE_EXTENSIONS <= known | {".heic", ".heif", ".hif", ".avifs"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jfif", {"format": "JPEG", "quality": 100, "subsampling": 0}),
        ("a.jpe", {"format": "JPEG", "quality": 100, "subsampling": 0}),
        ("a.mpo", {"format": "MPO", "quality": 100, "subsampling": 0}),
        ("a.jp2", {}),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("a.ppm", {}),
    ],
)
def test_other_extensions(tmp_path, name, options):
    pixels = np.asarray(Image.fromarray(RGB).resize((48, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(read_image(save(tmp_path / name, pixels, **options)), pixels, atol=6)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.mpo"])
def test_first_of_several_frames(tmp_path, name):
    colours = [(220, 40, 30), (20, 60, 200)]
    first, second = (Image.new("RGB", (32, 16), colour) for colour in colours)
    first.save(tmp_path / name, save_all=True, append_images=[second])
    shown = read_image(tmp_path / name)
    np.testing.assert_allclose(shown, np.broadcast_to(colours[0], shown.shape), atol=6)


def test_kinds_that_are_not_read_are_named_with_the_remedy(tmp_path, monkeypatch):
    for name in ("DJI_0001.DNG", "a.CR2", "a.nef"):  # their first picture is a preview, which Pillow would read
        assert_refused(read_image, save(tmp_path / name, RGB, format="TIFF"), "raw file", "export it as JPEG or TIFF")
    assert_refused(read_image, save(tmp_path / "a.tif", RGB, tiffinfo={50706: b"\1\4\0\0"}), "raw file")
    (tmp_path / "a.psd").write_bytes(b"8BPS" + bytes(60))
    assert_refused(read_image, tmp_path / "a.psd", "PSD", "export it as JPEG")
    for module in (images, image_files):
        monkeypatch.setattr(module, "READS_HEIF", False)
    for name in ("IMG_0001.HEIC", "renamed.jpg"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
        assert_refused(read_image, tmp_path / name, "HEIC", "pip install 'spotrust-jax[heif]'", "JPEG")


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    pixels = np.asarray(Image.fromarray(RGB).resize((64, 32), Image.Resampling.BICUBIC))
    exif = with_orientation(6)
    for name in ("a.heic", "a.jpg"):
        options = {"quality": 100, "chroma": 444, "save_all": False}
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / name, exif=exif.tobytes(), **options)
        np.testing.assert_allclose(read_image(tmp_path / name), np.rot90(pixels, -1), atol=8)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_pipes_and_links_that_lead_nowhere_are_reported_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert_refused(read, tmp_path / "pipe.jpg", "pipe", "remove it")
    assert_refused(read, "/dev/zero", "device", "remove it")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert_refused(read, tmp_path / "loop.jpg", "link", "remove it")
    (tmp_path / "gone.jpg").symlink_to("nothing.jpg")
    assert_refused(read, tmp_path / "gone.jpg", "does not exist")


def test_small_file_of_many_pixels_is_not_decoded(tmp_path):
    """400 megapixels of one colour in half a megabyte, and a mere header: neither is a photograph."""
    row = b"\0" + bytes(20_000)
    packed = zlib.compressobj(9)
    content = b"".join(packed.compress(row) for _ in range(20_000)) + packed.flush()
    path = tmp_path / "blank.png"
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", content) + png_chunk(b"IEND", b""))
    assert path.stat().st_size < 2_000_000
    started = time.monotonic()
    for read in (read_image, count_pixels):
        assert_refused(read, path, "20000 x 20000 = 400,000,000 pixels", "blank", "remove it")
    assert time.monotonic() - started < 1
    path.write_bytes(png(20_000, 20_000, 8, 2, b""))
    assert_refused(read_image, path, "400,000,000 pixels", "remove it")
    # A picture of one colour that does no harm is read.
    assert read_image(save(tmp_path / "small.png", np.zeros((2000, 3000, 3), np.uint8))).shape == (2000, 3000, 3)
