import numpy as np
import pytest
from sklearn import metrics as reference

from spotrust_jax.errors import InputError
from spotrust_jax.metrics.masks import (
    Confusion,
    Scores,
    confusion,
    count_array,
    mean_scores,
    pooled_scores,
    scores,
)


def _random_masks(seed: int, images: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Masks [images, height, width] of which between none and nearly all pixels are corrosion, partly right."""
    generator = np.random.default_rng(seed)
    truth = generator.random((images, 9, 7)) < generator.random((images, 1, 1)) ** 3
    flipped = generator.random(truth.shape) < generator.random((images, 1, 1)) ** 2
    return truth ^ flipped, truth


def _reference_scores(prediction: np.ndarray, truth: np.ndarray) -> list[float]:
    """Scikit-learn, in the order of the fields of Scores."""
    y_true, y_pred = truth.ravel(), prediction.ravel()
    empty = float(not (y_true.any() or y_pred.any()))
    no_background = float(y_true.all() and y_pred.all())
    corrosion_iou = reference.jaccard_score(y_true, y_pred, zero_division=empty)
    background_iou = reference.jaccard_score(~y_true, ~y_pred, zero_division=no_background)
    return [
        corrosion_iou,
        (corrosion_iou + background_iou) / 2,
        reference.f1_score(y_true, y_pred, zero_division=empty),
        reference.precision_score(y_true, y_pred, zero_division=empty),
        reference.recall_score(y_true, y_pred, zero_division=empty),
        reference.accuracy_score(y_true, y_pred),
        1.0 if (y_true == y_pred).all() else reference.matthews_corrcoef(y_true, y_pred),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_scikit_learn(seed):
    predictions, truths = _random_masks(seed)
    confusions = [confusion(*masks) for masks in zip(predictions, truths, strict=True)]
    each = np.array([_reference_scores(*masks) for masks in zip(predictions, truths, strict=True)])
    np.testing.assert_allclose([scores(item) for item in confusions], each, rtol=1e-12)
    np.testing.assert_allclose(pooled_scores(confusions), _reference_scores(predictions, truths), rtol=1e-12)
    np.testing.assert_allclose(mean_scores(confusions), each.mean(axis=0), rtol=1e-12)


def test_confusion_by_hand():
    prediction = np.array([[True, True, False], [False, True, False]])
    truth = np.array([[True, False, False], [True, True, False]])
    counted = confusion(prediction, truth)
    assert counted == Confusion(true_positive=2, false_positive=1, false_negative=1, true_negative=2)
    assert scores(counted) == pytest.approx(Scores(2 / 4, 2 / 4, 4 / 6, 2 / 3, 2 / 3, 4 / 6, 3 / 9))


def test_scores_of_one_set_are_plain_numbers():
    assert all(isinstance(value, float) for value in scores(Confusion(1, 2, 3, 4)))


def test_confusion_of_a_whole_is_the_sum_of_its_parts():
    prediction, truth = _random_masks(seed=3)
    parts = [confusion(prediction[:, :4], truth[:, :4]), confusion(prediction[:, 4:], truth[:, 4:])]
    assert sum(parts, Confusion()) == confusion(prediction, truth)
    assert pooled_scores(parts) == scores(confusion(prediction, truth))


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ([False, False], [False, False], Scores(1, 1, 1, 1, 1, 1, 1)),
        ([True, True], [True, True], Scores(1, 1, 1, 1, 1, 1, 1)),
        ([False, False], [True, False], Scores(0, 0.25, 0, 0, 0, 0.5, 0)),  # nothing predicted
        ([True, False], [False, False], Scores(0, 0.25, 0, 0, 0, 0.5, 0)),  # nothing there
        ([True, True], [False, False], Scores(0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_nothing_to_find(prediction, truth, expected):
    assert scores(confusion(np.array(prediction), np.array(truth))) == expected


def test_scores_of_many_sets_are_those_of_each():
    predictions, truths = _random_masks(seed=11, images=6)
    confusions = [confusion(*masks) for masks in zip(predictions, truths, strict=True)]
    first, second = confusions[:3], confusions[3:]
    counts = np.stack([count_array(first), count_array(second)])
    for statistic in (pooled_scores, mean_scores):
        np.testing.assert_array_equal(np.stack(statistic(counts), axis=-1), [statistic(first), statistic(second)])


def test_a_long_run_does_not_overflow():
    many = [Confusion(2**40, 2**40, 0, 0)] * 1000
    assert pooled_scores(many).precision == 0.5


def test_no_image_is_one_clear_line():
    with pytest.raises(InputError, match="no image to score"):
        pooled_scores([])
    with pytest.raises(InputError, match="no image to score"):
        mean_scores([])
