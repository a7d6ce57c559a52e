import numpy as np
import pytest
from scipy import ndimage

from spotrust_jax.data.example import Dataset
from spotrust_jax.data.synthetic import (
    SPLIT_SEEDS,
    SURVEY_SCENES,
    SurveyConfig,
    SurveySceneDataset,
    draw_out_of_distribution_scene,
    draw_survey_scene,
)
from spotrust_jax.data.synthetic.objects import draw_object_scene
from spotrust_jax.errors import InputError

SIZE = 96

# Of version survey-1 at 96 pixels: mean red, green and blue, and corroded fraction. They change only with the version.
FROZEN = {
    ("train", 0): (133.28, 133.39, 118.74, 0.0276),
    ("train", 1): (59.84, 63.47, 49.36, 0.3076),
    ("train", 2): (131.79, 121.65, 112.81, 0.2801),
    ("train", 3): (154.27, 145.31, 137.58, 0.0776),
    ("train", 5): (154.84, 155.37, 140.14, 0.1227),
    ("train", 8): (93.76, 85.71, 76.00, 0.1955),
    ("validation", 0): (150.02, 143.34, 134.50, 0.0276),
    ("validation", 1): (134.25, 123.51, 104.69, 0.1514),
    ("test", 0): (208.89, 191.10, 163.00, 0.1514),
    ("test", 1): (120.45, 131.98, 137.66, 0.0107),
    ("out_of_distribution_validation", 0): (129.18, 83.80, 36.82, 0.0000),
    ("out_of_distribution_validation", 1): (127.18, 135.32, 97.75, 0.0000),
    ("out_of_distribution_test", 2): (165.24, 104.48, 86.83, 0.0000),
    ("out_of_distribution_test", 3): (153.41, 121.89, 99.96, 0.0000),
    ("out_of_distribution_test", 4): (165.25, 77.98, 72.54, 0.0000),
}
OUT_OF_DISTRIBUTION = [split for split in SPLIT_SEEDS if split.startswith("out_of_distribution_")]


@pytest.fixture(scope="module")
def scenes():
    return list(SurveySceneDataset("train", 150, SIZE))


@pytest.mark.parametrize(("split", "index"), FROZEN)
def test_survey_scenes_are_frozen(split, index):
    """Tolerances are for the last bits of exp and of Fourier transforms, which differ from one machine to another."""
    example = SurveySceneDataset(split, 20, SIZE)[index]
    *colour, fraction = FROZEN[split, index]
    np.testing.assert_allclose(example.image.mean(axis=(0, 1)), colour, atol=0.3)
    assert example.mask.mean() == pytest.approx(fraction, abs=2e-3)


def test_scene_depends_on_version_seed_and_index_only(scenes):
    dataset = SurveySceneDataset("train", 9, SIZE)
    for index in (8, 3, 0):
        np.testing.assert_array_equal(dataset[index].image, scenes[index].image)
        np.testing.assert_array_equal(dataset[index].mask, scenes[index].mask)
    other = SurveyConfig("other", *list(vars(SURVEY_SCENES).values())[1:])
    assert (draw_survey_scene(other, 0, 0, SIZE)[0] != scenes[0].image).mean() > 0.5


def test_amount_of_corrosion(scenes):
    """Skewed as surveys are: many sound or nearly sound, few bad, some corroded all over."""
    fractions = np.array([example.mask.mean() for example in scenes])
    assert 0.07 < fractions.mean() < 0.2
    assert 0.1 < np.mean(fractions == 0) < 0.35
    assert np.median(fractions) < fractions.mean()
    assert np.mean((fractions > 0) & (fractions < 0.05)) > 0.15
    assert fractions.max() > 0.5


def test_masks_lie_where_the_picture_breaks(scenes):
    """The picture changes across the mask's outline, and less so across the same outline set off to either side."""

    def change(example, shift: tuple[int, int]) -> tuple[float, int]:
        mask = np.roll(example.mask, shift, (0, 1))
        outline = (mask ^ ndimage.binary_erosion(mask))[8:-8, 8:-8]
        light = np.log(example.image.astype(np.float64) + 10)
        gradient = sum(ndimage.gaussian_gradient_magnitude(light[..., c], 0.7) for c in range(3))[8:-8, 8:-8]
        return gradient[outline].sum(), outline.sum()

    def mean(shift: tuple[int, int]) -> float:
        sums = np.array([change(example, shift) for example in scenes[:60]])
        return sums[:, 0].sum() / sums[:, 1].sum()

    assert mean((0, 0)) > 1.15 * max(mean(shift) for shift in ((0, 5), (0, -5), (5, 0), (-5, 0)))


def test_rust_is_rusty_and_colour_alone_does_not_tell(scenes):
    """Corroded pixels are darker and redder than sound ones on average, but every third sound pixel is as red."""
    image = np.concatenate([example.image.reshape(-1, 3) for example in scenes]).astype(np.float64)
    corroded = np.concatenate([example.mask.ravel() for example in scenes])
    redness = (image[:, 0] - image[:, 2]) / (image.sum(1) + 20)
    assert image[corroded].mean() < image[~corroded].mean() - 20
    assert redness[corroded].mean() > redness[~corroded].mean() + 0.03
    assert np.mean(redness[~corroded] > np.quantile(redness[corroded], 0.25)) > 0.1


@pytest.mark.parametrize("split", OUT_OF_DISTRIBUTION)
def test_out_of_distribution_splits_have_no_corrosion(split):
    dataset = SurveySceneDataset(split, 10, 64)
    assert not any(example.mask.any() for example in dataset)
    assert min(example.image.std() for example in dataset) > 5  # none of them is empty


def test_no_two_scenes_are_alike():
    images = [example.image for split in SPLIT_SEEDS for example in SurveySceneDataset(split, 10, 64)]
    flat = np.stack(images).reshape(len(images), -1).astype(np.float64)
    difference = np.abs(flat[:, None] - flat[None]).mean(axis=-1) + 255 * np.eye(len(flat))
    assert difference.min() > 10  # grey levels


def test_splits_are_disjoint_by_name_and_by_group():
    examples = [example for split in SPLIT_SEEDS for example in SurveySceneDataset(split, 2, 32)]
    assert len({example.name for example in examples}) == len({example.group for example in examples}) == len(examples)


def test_data_set_protocol():
    dataset = SurveySceneDataset("out_of_distribution_test", 3, 40)
    assert isinstance(dataset, Dataset)
    assert len(dataset) == 3
    assert dataset.names == (
        "out_of_distribution_test_0000",
        "out_of_distribution_test_0001",
        "out_of_distribution_test_0002",
    )
    assert [example.name for example in dataset] == list(dataset.names)
    assert dataset[-1].name == "out_of_distribution_test_0002"
    with pytest.raises(IndexError):
        dataset[3]


@pytest.mark.parametrize("size", [32, 50, 130])
def test_any_size(size):
    for draw in (draw_survey_scene, draw_out_of_distribution_scene):
        for index in range(6):
            image, mask = draw(SURVEY_SCENES, 0, index, size)
            assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((size, size, 3), np.uint8, (size, size), bool)


def test_a_share_of_clean_scenes_of_one_leaves_no_corrosion():
    clean = SurveyConfig("survey-1", 1.0, SURVEY_SCENES.whole_share, SURVEY_SCENES.corroded_fraction)
    assert not any(example.mask.any() for example in SurveySceneDataset("train", 12, 48, clean))


def test_unknown_split_empty_count_and_tiny_size():
    with pytest.raises(
        InputError, match="no split 'val': choose one of train, validation, test, out_of_distribution_validation"
    ):
        SurveySceneDataset("val", 3)
    with pytest.raises(InputError, match="0 scenes"):
        SurveySceneDataset("train", 0)
    with pytest.raises(InputError, match="8 pixels"):
        SurveySceneDataset("train", 1, 8)


def test_scenes_of_objects_have_warm_colours_and_no_corrosion():
    """A detector that went by colour alone would find corrosion in most of them."""
    drawn = [draw_object_scene(SURVEY_SCENES, 0, index, SIZE) for index in range(40)]
    assert not any(mask.any() for _, mask in drawn)
    again, _ = draw_object_scene(SURVEY_SCENES, 0, 7, SIZE)
    np.testing.assert_array_equal(again, drawn[7][0])
    red, green, blue = np.stack([image for image, _ in drawn]).astype(int).transpose(3, 0, 1, 2)
    rusty = (red > green + 25) & (green >= blue)
    assert (rusty.mean(axis=(1, 2)) > 0.1).mean() > 0.4
    assert len({image.tobytes() for image, _ in drawn}) == 40
