"""Areas of predictions, against sums by hand."""

import numpy as np
import pytest

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.errors import InputError
from spotrust_jax.inference.prediction import Prediction


@pytest.fixture
def prediction():
    maps = np.random.default_rng(0).random((3, 2, 16, 24)).astype(np.float32)
    return Prediction(*maps, threshold=0.5, area_calibration=AreaCalibration(reach=0.3, groups=30))


def test_area_is_the_mean_probability_with_its_interval(prediction):
    found, p = prediction[0].area(), prediction.probability[0].astype(np.float64)
    # All shares whose distance from the estimate is within the reach in units of the error that is expected.
    y, unit = np.linspace(0, 1, 100_001), np.sqrt((p * (1 - p)).mean() + 0.005) * (p.mean() + 0.05) ** 0.25
    held = y[np.abs(y - p.mean()) <= 0.3 * unit * (1 + 2 * y)]
    np.testing.assert_allclose(found[:3], [p.mean(), held[0], held[-1]], atol=2e-5)
    assert found.level == 0.9


def test_region_that_is_the_whole_picture_changes_nothing(prediction):
    assert prediction[1].area(np.ones((16, 24), bool)) == prediction[1].area()


def test_area_of_a_region(prediction):
    region = np.zeros((16, 24), bool)
    region[3:7, 5:11] = True
    np.testing.assert_allclose(
        prediction[0].area(region).estimate, prediction.probability[0, 3:7, 5:11].mean(dtype=np.float64)
    )


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (np.zeros((16, 24), bool), "no pixel"),
        (np.ones((24, 16), bool), r"\[24, 16\] pixels: give booleans of the image's shape \[16, 24\]"),
    ],
)
def test_no_region(prediction, region, words):
    with pytest.raises(InputError, match=words):
        prediction[0].area(region)


def test_area_is_of_one_image(prediction):
    with pytest.raises(InputError, match="batch of 2 images: ask for one"):
        prediction.area()
