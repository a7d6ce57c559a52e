import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spotrust_jax.data.scenes import DEMO_SCENES, SPLIT_SEEDS, SceneConfig, SceneDataset, draw_scene
from spotrust_jax.errors import InputError

# Of version demo-1: mean red, green and blue, and corroded fraction. They change only together with the version.
FROZEN = {
    ("train", 0): (81.23, 59.73, 56.68, 0.0),
    ("train", 1): (129.74, 114.09, 107.15, 0.1461),
    ("train", 2): (150.70, 100.90, 80.52, 0.1813),
    ("train", 3): (159.35, 116.95, 101.01, 0.1342),
    ("validation", 0): (176.86, 97.04, 47.13, 0.1670),
    ("validation", 1): (94.34, 51.34, 29.04, 0.2303),
    ("test", 0): (112.87, 100.19, 74.11, 0.1022),
    ("test", 1): (70.50, 34.03, 25.11, 0.1199),
}


@pytest.fixture(scope="module")
def train():
    return list(SceneDataset(DEMO_SCENES, "train", 100))


@pytest.fixture(scope="module")
def test():
    return list(SceneDataset(DEMO_SCENES, "test", 40))


def _labels(examples) -> np.ndarray:
    return np.concatenate([example.mask.ravel() for example in examples])


def _colours(examples) -> np.ndarray:
    return np.concatenate([example.image.reshape(-1, 3) for example in examples]).astype(np.float64)


def _gradient_energy(image: np.ndarray, scale: float) -> np.ndarray:
    """Local mean of the gradient of the logarithm of brightness, so that it does not depend on the light."""
    grey = np.log(image.mean(axis=-1, dtype=np.float64) + 5)
    return ndimage.gaussian_filter(ndimage.gaussian_gradient_magnitude(grey, 0.7), scale)


def _colours_and_texture(examples) -> np.ndarray:
    def features(image: np.ndarray) -> np.ndarray:
        grey = image.mean(axis=-1, dtype=np.float64)
        layers = [image.astype(np.float64)]
        for scale in (1, 2, 4):
            mean = ndimage.gaussian_filter(grey, scale)
            std = np.sqrt(np.maximum(ndimage.gaussian_filter(grey**2, scale) - mean**2, 0))
            texture = [std, std / (mean + 5), _gradient_energy(image, scale)]
            layers += [ndimage.gaussian_filter(image.astype(np.float64), (scale, scale, 0)), np.stack(texture, axis=-1)]
        return np.concatenate(layers, axis=-1).reshape(image.shape[0] * image.shape[1], -1)

    return np.concatenate([features(example.image) for example in examples])


def _f1_of_logistic_regression(train_x, train_y, test_x, test_y) -> float:
    """F1 on the test pixels at the threshold that is best on the training pixels."""
    some = np.random.default_rng(0).choice(len(train_y), 60_000, replace=False)
    x, y = train_x[some], train_y[some]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, y)
    precision, recall, thresholds = precision_recall_curve(y, model.predict_proba(x)[:, 1])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return f1_score(test_y, model.predict_proba(test_x)[:, 1] >= thresholds[np.argmax(f1[:-1])])


def test_colour_alone_does_not_solve_them(train, test):
    train_x, train_y, test_x, test_y = _colours(train), _labels(train), _colours(test), _labels(test)
    balanced = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    balanced.fit(train_x[::29], train_y[::29])
    at_one_half = f1_score(test_y, balanced.predict(test_x))
    at_best_threshold = _f1_of_logistic_regression(train_x, train_y, test_x, test_y)
    assert 0.35 < max(at_one_half, at_best_threshold) < 0.55  # above "all is corroded", which is 0.3


def test_colour_and_texture_solve_them(train, test):
    arrays = _colours_and_texture(train), _labels(train), _colours_and_texture(test), _labels(test)
    assert _f1_of_logistic_regression(*arrays) > 0.75


@pytest.mark.parametrize(("split", "index"), FROZEN)
def test_demo_scenes_are_frozen(split, index):
    """Tolerances are for the last bits of exp and sqrt, which differ from one machine to another."""
    image, mask = draw_scene(DEMO_SCENES, SPLIT_SEEDS[split], index)
    *colour, fraction = FROZEN[split, index]
    assert image.shape == (128, 128, 3)
    assert mask.shape == (128, 128)
    np.testing.assert_allclose(image.mean(axis=(0, 1)), colour, atol=0.1)
    assert mask.mean() == pytest.approx(fraction, abs=1e-3)


def test_scene_depends_on_version_seed_and_index_only():
    dataset = SceneDataset(DEMO_SCENES, "validation", 9)
    last_first = [dataset[index] for index in (8, 3, 0)]
    for example, index in zip(last_first, (8, 3, 0), strict=True):
        image, mask = draw_scene(DEMO_SCENES, SPLIT_SEEDS["validation"], index)
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(example.mask, mask)
    other_version = SceneConfig("other", 128, DEMO_SCENES.clean_share, DEMO_SCENES.corroded_fraction)
    assert (draw_scene(other_version, SPLIT_SEEDS["validation"], 0)[0] != last_first[2].image).mean() > 0.5


def test_no_two_scenes_are_alike():
    images = [example.image for split in SPLIT_SEEDS for example in SceneDataset(DEMO_SCENES, split, 6)]
    flat = np.stack(images).reshape(len(images), -1).astype(np.float64)
    difference = np.abs(flat[:, None] - flat[None]).mean(axis=-1) + 255 * np.eye(len(flat))
    assert difference.min() > 10  # grey levels


def test_amount_of_corrosion(train, test):
    for examples in (train, test):
        fractions = np.array([example.mask.mean() for example in examples])
        assert 0.10 < fractions.mean() < 0.25
        assert 0.05 < np.mean(fractions == 0) < 0.30
        assert fractions.max() < 0.5


def test_a_share_of_clean_scenes_of_one_leaves_no_corrosion():
    clean = SceneConfig("demo-1", 64, 1.0, (0.06, 0.34))
    assert not any(example.mask.any() for example in SceneDataset(clean, "train", 5))


def test_masks_lie_where_the_image_is_rough(test):
    """Roughness detects corroded pixels best where the mask is, and worse under a mask that is shifted either way."""
    energy = np.stack([_gradient_energy(example.image, 1.5) for example in test])
    mask = np.stack([example.mask for example in test])
    inner = (slice(None), slice(8, -8), slice(8, -8))

    def separation(shift: tuple[int, int]) -> float:
        return roc_auc_score(np.roll(mask, shift, axis=(1, 2))[inner].ravel(), energy[inner].ravel())

    aligned = separation((0, 0))
    assert aligned > 0.85
    assert aligned > max(separation(shift) for shift in ((0, 3), (0, -3), (3, 0), (-3, 0)))


def test_data_set_protocol():
    dataset = SceneDataset(DEMO_SCENES, "test", 3)
    assert len(dataset) == 3
    assert dataset.names == ("test_0000", "test_0001", "test_0002")
    assert [(example.name, example.group) for example in dataset] == [(name, name) for name in dataset.names]
    assert dataset[-1].name == "test_0002"
    with pytest.raises(IndexError):
        dataset[3]


def test_kept_scenes_cannot_be_changed():
    dataset = SceneDataset(DEMO_SCENES, "train", 1)
    with pytest.raises(ValueError, match="read-only"):
        dataset[0].image[0, 0, 0] = 0


def test_unknown_split_and_empty_count():
    with pytest.raises(InputError, match="no split 'val': choose one of train, validation, test"):
        SceneDataset(DEMO_SCENES, "val", 3)
    with pytest.raises(InputError, match="0 scenes"):
        SceneDataset(DEMO_SCENES, "train", 0)
