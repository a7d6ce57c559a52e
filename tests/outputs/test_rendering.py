import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize
from PIL import Image

from spotrust_jax.outputs import rendering

BLACK, WHITE, CYAN, RED = (0, 0, 0), (255, 255, 255), (0, 255, 255), (255, 0, 0)
PURPLE, YELLOW = matplotlib.colormaps["viridis"]([0.0, 1.0], bytes=True)[:, :3]
SIZES = [(1, 1), (1, 40), (40, 1), (13, 9), (32, 32), (63, 64)]


def _values(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 2, (height, width)).astype(np.float32)


def test_mask_is_cyan_on_black():
    picture = rendering.mask_picture(np.array([[True, False], [False, True]]))
    np.testing.assert_array_equal(picture, [[CYAN, BLACK], [BLACK, CYAN]])
    assert picture.dtype == np.uint8


def test_accuracy_colours():
    mask, truth = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    np.testing.assert_array_equal(rendering.accuracy_picture(mask, truth), [[WHITE, CYAN, RED, BLACK]])


def test_masks_from_pillow_whose_true_is_byte_255():
    mask = np.array([[255, 0]], np.uint8).view(bool)
    np.testing.assert_array_equal(rendering.mask_picture(mask), [[CYAN, BLACK]])
    np.testing.assert_array_equal(rendering.accuracy_picture(mask, mask), [[WHITE, BLACK]])
    np.testing.assert_array_equal(rendering.overlay_picture(np.zeros((1, 2, 3), np.uint8), mask), [[CYAN, BLACK]])


def test_overlay_tints_inside_and_outlines_the_border():
    image = np.full((5, 6, 3), (200, 100, 40), np.uint8)
    mask = np.zeros((5, 6), bool)
    mask[:4, 1:5] = True  # touches the upper edge of the photograph, which is no border
    tint = (110, 170, 137)  # 0.55 * 200; 0.55 * 100 + 0.45 * 255 = 169.75; 0.55 * 40 + 0.45 * 255 = 136.75
    plain = (200, 100, 40)
    inside = [plain, CYAN, tint, tint, CYAN, plain]
    expected = [inside, inside, inside, [plain, CYAN, CYAN, CYAN, CYAN, plain], [plain] * 6]
    np.testing.assert_array_equal(rendering.overlay_picture(image, mask), expected)
    np.testing.assert_array_equal(image, np.full((5, 6, 3), plain))


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, (200, 100, 40)), (0.25, (150, 139, 94)), (1.0, CYAN)])
def test_overlay_opacity(opacity, expected):
    image = np.full((3, 4, 3), (200, 100, 40), np.uint8)
    picture = rendering.overlay_picture(image, np.ones((3, 4), bool), opacity)
    np.testing.assert_array_equal(picture, np.broadcast_to(expected, (3, 4, 3)))


def test_outline_grows_with_the_photograph():
    mask = np.zeros((1200, 1210), bool)
    mask[:, 600:] = True
    row = rendering.overlay_picture(np.zeros((1200, 1210, 3), np.uint8), mask)[700]
    np.testing.assert_array_equal(np.flatnonzero((row == CYAN).all(axis=-1)), [600, 601, 602])


def test_uncertainty_map_is_that_of_matplotlib_pixel_for_pixel():
    values = _values(70, 50)
    values[0, :4] = -0.5, 1.5, -np.inf, np.inf
    picture = rendering.uncertainty_picture(values, label="log variance", lower=-0.5, upper=1.5)
    expected = matplotlib.colormaps["viridis"](Normalize(-0.5, 1.5)(values), bytes=True)[..., :3]
    np.testing.assert_array_equal(picture[:, :50], expected)
    np.testing.assert_array_equal(picture[0, :4], [PURPLE, YELLOW, PURPLE, YELLOW])


def test_nan_is_grey():
    picture = rendering.uncertainty_picture(np.full((4, 5), np.nan, np.float32), label="x", lower=0.0, upper=1.0)
    np.testing.assert_array_equal(picture[:, :5], np.full((4, 5, 3), 128))


def test_half_precision_loses_nothing():
    values = _values(8, 8).astype(np.float16)
    half = rendering.uncertainty_picture(values, label="x", lower=-1.0, upper=2.0)
    np.testing.assert_array_equal(
        half, rendering.uncertainty_picture(values.astype(np.float64), label="x", lower=-1.0, upper=2.0)
    )


@pytest.mark.parametrize("height", [2, 32, 501])
def test_colour_bar_goes_from_purple_below_to_yellow_above(height):
    picture = rendering.uncertainty_picture(np.zeros((height, 3), np.float32), label="x", lower=0.0, upper=1.0)
    font_size = max(12, round(0.03 * height))
    bar = picture[:, 3 + font_size]
    np.testing.assert_array_equal(bar[[0, -1]], [YELLOW, PURPLE])
    green = bar[:, 1].astype(int)  # which only rises along viridis
    assert green[0] > 230 and green[-1] < 2 and (np.diff(green) <= 0).all()


def test_ticks_stand_at_round_values():
    picture = rendering.uncertainty_picture(np.zeros((501, 3), np.float32), label="unit", lower=0.0, upper=1.0)
    beside_the_bar = picture[:, 3 + 15 // 2 + 15]  # the font is 15 pixels high, and so wide is the bar
    np.testing.assert_array_equal(np.flatnonzero((beside_the_bar == 0).all(axis=-1)), range(0, 501, 100))


def test_values_beyond_the_bar_are_announced():
    def width(low, high):
        values = np.full((200, 3), 0.5, np.float32)
        values[0, :2] = low, high
        return rendering.uncertainty_picture(values, label="x", lower=0.0, upper=1.0).shape[1]

    assert width(0.0, 1.0) < width(-0.1, 1.0) == width(0.0, 1.1)  # one more sign and space before 0 or 1


@pytest.mark.parametrize("size", SIZES)
def test_small_pictures(size):
    values, mask = _values(*size), _values(*size) > 0
    picture = rendering.uncertainty_picture(values, label="standard deviation", lower=-1.0, upper=2.0)
    expected = matplotlib.colormaps["viridis"](Normalize(-1, 2)(values), bytes=True)[..., :3]
    np.testing.assert_array_equal(picture[:, : size[1]], expected)
    image = np.zeros((*size, 3), np.uint8)
    for other in (
        rendering.mask_picture(mask),
        rendering.overlay_picture(image, mask),
        rendering.accuracy_picture(mask, ~mask),
    ):
        assert other.shape == (*size, 3)


@pytest.mark.parametrize(
    ("values", "floor", "expected"),
    [
        ([0.01, 0.137], 0.0, (0.0, 0.15)),
        ([0.0, 0.3], 0.0, (0.0, 0.3)),
        ([-4.3, 1.2], None, (-6.0, 2.0)),
        ([0.0, 0.0], 0.0, (0.0, 0.5)),
        ([-2.25, -2.25], None, (-3.5, -1.0)),  # 2.25 wide around itself, in steps of 0.5
        ([-1.0, -1.0], 0.0, (0.0, 0.5)),
        ([np.nan, np.inf, -np.inf], None, (-0.6, 0.6)),  # 1 wide around 0, in steps of 0.2
        ([np.nan, np.inf, 0.0, 0.4], 0.0, (0.0, 0.4)),
        ([], None, (-0.6, 0.6)),
        ([2e5, 9e5], None, (2e5, 1e6)),
    ],
)
def test_display_range_by_hand(values, floor, expected):
    assert rendering.display_range(np.array(values, np.float64), floor=floor) == expected


@pytest.mark.parametrize("scale", [1e-6, 0.03, 1.0, 700.0, 1e12])
def test_display_range_covers_the_percentiles_and_little_more(scale):
    values = scale * np.random.default_rng(4).normal(0.7, 1, 5000)
    low, high = np.percentile(values, [0.5, 99.5])
    lower, upper = rendering.display_range(values)
    assert low - 0.5 * (high - low) <= lower <= low < high <= upper <= high + 0.5 * (high - low)
    assert rendering.display_range(values, floor=0.0) == (0.0, pytest.approx(upper, rel=0.3))


def test_one_stray_pixel_does_not_set_the_range():
    values = np.linspace(0, 0.2, 10_000)
    values[0] = 1e6
    assert rendering.display_range(values, floor=0.0) == (0.0, 0.2)


def test_panel_puts_pictures_side_by_side_under_titles():
    left, right = np.full((100, 150, 3), RED, np.uint8), np.full((50, 60, 3), CYAN, np.uint8)
    picture = rendering.panel([left, right], ["left", "right"])
    strip = picture.shape[0] - 100
    assert picture.shape[1] == 150 + 2 + 120  # the second at twice its size
    np.testing.assert_array_equal(picture[strip:, :150], left)
    np.testing.assert_array_equal(picture[strip:, 152:], np.full((100, 120, 3), CYAN))
    np.testing.assert_array_equal(picture[strip:, 150:152], np.full((100, 2, 3), WHITE))
    assert (picture[:strip, :150] < 128).any() and (picture[:strip, 152:] < 128).any()


def test_panel_makes_room_for_a_long_title():
    picture = rendering.panel([np.zeros((4, 2, 3), np.uint8)], ["a title wider than its picture"])
    assert picture.shape[1] > 100
    np.testing.assert_array_equal(picture[-4:, :2], np.zeros((4, 2, 3)))
    np.testing.assert_array_equal(picture[-4:, 2:], np.full((4, picture.shape[1] - 2, 3), 255))


def test_saved_picture_comes_back_and_nothing_else_stays(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    for _ in range(2):
        rendering.save_picture(picture, tmp_path / "a_mask.png")
    with Image.open(tmp_path / "a_mask.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a_mask.png"]


def test_interrupted_save_keeps_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    rendering.save_picture(np.zeros((2, 2, 3), np.uint8), path)
    before = path.read_bytes()

    def full_disk(self, file, **options):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        rendering.save_picture(np.ones((2, 2, 3), np.uint8), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pyplot_stays_out():
    program = "import sys, spotrust_jax.outputs.rendering; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
