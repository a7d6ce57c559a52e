"""Review score, retake advice and the evaluation of the order, on photographs and numbers whose answer is known."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.report.review import (
    evaluate_ranking,
    quality,
    retake_advice,
    review_score,
    unfamiliarity,
)

DOUBTFUL = 0.2, 0.01  # nats of entropy, nearly all of it within passes


@pytest.fixture(scope="module")
def scenes():
    return [example.image for example in SceneDataset(DEMO_SCENES, "test", 8)]


def test_score_follows_its_formula():
    assert review_score(0.0, 0.0, 0.0, 0.0) == 0
    assert review_score(0.0, math.log(2), math.log(2), 0.0) == pytest.approx(100)
    assert review_score(0.0, math.log(2), 0.0, 0.0) == pytest.approx(50)
    assert review_score(1.0, 0.0, 0.0, 0.0) == pytest.approx(25)
    assert review_score(0.0, 0.0, 0.0, 1.0) == pytest.approx(12.5)
    assert review_score(0.4, 0.3, 0.1, 0.2) == pytest.approx(100 * (1 - (1 - 0.4 / math.log(4)) * 0.9 * 0.995))


@pytest.mark.parametrize("argument", range(4))
def test_score_grows_with_each_part(argument):
    low, high = [0.1, 0.2, 0.05, 0.1], [0.1, 0.2, 0.05, 0.1]
    high[argument] += 0.05
    assert review_score(*high) > review_score(*low)


def test_unfamiliar_colours():
    rng = np.random.default_rng(0)
    like = np.clip(rng.normal(0.5, 0.1, (50, 60, 3)), 0, 1)
    like = (like * 255).astype(np.uint8)
    mean, deviation = (like / 255).mean(axis=(0, 1)), (like / 255).std(axis=(0, 1))
    assert unfamiliarity(like, mean.tolist(), deviation.tolist()) < 1e-6
    shifted = np.clip(like + 2 * 255 * deviation, 0, 255).astype(np.uint8)
    np.testing.assert_allclose(unfamiliarity(shifted, mean.tolist(), deviation.tolist()), 1 - math.exp(-2), atol=0.02)
    assert unfamiliarity(np.zeros((1, 1, 3), np.uint8), mean.tolist(), deviation.tolist()) > 0.99


def changed(image, how):
    if how == "dark":
        return (image * 0.08).astype(np.uint8)
    if how == "overexposed":
        return np.clip(image * 10.0, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4)))


@pytest.mark.parametrize("how", ["dark", "blurred", "overexposed"])
def test_spoilt_photographs_are_to_be_taken_again(scenes, how):
    for image in scenes:
        assert retake_advice(quality(image), *DOUBTFUL) == ""
        seen = quality(changed(image, how))
        assert how in retake_advice(seen, *DOUBTFUL).split(" and ")
        assert retake_advice(seen, 0.01, 0.0) == ""  # the network has no doubt
        assert retake_advice(seen, 0.2, 0.15) == ""  # passes disagree: look at it instead


def test_ranking_by_hand():
    missed = np.array([0.0, 50.0, 30.0, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    perfect = evaluate_ranking(missed, missed)
    assert (perfect.found, perfect.random, perfect.perfect) == (0.8, 0.2, 0.8)
    worst = evaluate_ranking(-missed, missed)
    assert (worst.found, worst.random, worst.perfect) == (0.0, 0.2, 0.8)
    # Draws of two photographs: both twice the first, of which half is found, or one of each, or nothing to be found.
    two = evaluate_ranking(np.array([2.0, 1.0]), np.array([5.0, 0.0]), share=0.5)
    assert (two.found, two.low, two.high) == (1.0, 0.5, 1.0)
    even = evaluate_ranking(np.arange(50.0), np.full(50, 7.0))
    assert even.found == even.low == even.high == even.random == even.perfect == pytest.approx(0.2)
    tied = evaluate_ranking(np.zeros(10), missed)
    assert tied.found == pytest.approx(0.2) and tied.random == 0.2
    assert evaluate_ranking(missed, missed, share=0.11).random == 0.2  # two of ten, rounded up
    assert evaluate_ranking(missed, np.zeros(10)) is None


def test_study_counts_what_the_masks_miss():
    from spotrust_jax.data.example import Example
    from spotrust_jax.evaluation.review_study import rankings, review_dataset
    from spotrust_jax.inference.analysis import Analysis
    from tests.inference.known_segmenter import KnownSegmenter

    class Scenes(list):
        names = ()

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 40, 50, 3), np.uint8)
    truth = rng.random((5, 40, 50)) < np.linspace(0, 1, 5)[:, None, None]
    scenes = Scenes(
        Example(str(i), image, mask, str(i)) for i, (image, mask) in enumerate(zip(images, truth, strict=True))
    )
    reviewed = review_dataset(KnownSegmenter(), scenes, Analysis(None, 1, decomposed=True))
    red = images[..., 0].astype(np.float32) / 255
    assert [item.missed for item in reviewed] == [int((t & (p < 0.5)).sum()) for t, p in zip(truth, red, strict=True)]
    np.testing.assert_allclose([item.entropy for item in reviewed], (red * (1 - red)).mean(axis=(1, 2)), rtol=1e-5)
    found = rankings(reviewed, 0.2)
    assert found["corroded area"].random == 0.2 and found["review score"].perfect == max(
        item.missed for item in reviewed
    ) / sum(item.missed for item in reviewed)
