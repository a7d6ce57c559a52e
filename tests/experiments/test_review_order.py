"""What an order of photographs finds of the missed corrosion, on photographs and numbers whose answer is known."""

import numpy as np
import pytest

from experiments.missed_corrosion import evaluate_ranking, rankings, review_dataset
from spotrust_jax.data.example import Example
from spotrust_jax.inference.analysis import Analysis
from tests.inference.known_segmenter import KnownSegmenter

TEN = [str(number) for number in range(10)]


def test_ranking_by_hand():
    missed = np.array([0.0, 50.0, 30.0, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    perfect = evaluate_ranking(missed, missed, TEN)
    assert (perfect.found, perfect.random, perfect.perfect) == (0.8, 0.2, 0.8)
    worst = evaluate_ranking(-missed, missed, TEN)
    assert (worst.found, worst.random, worst.perfect) == (0.0, 0.2, 0.8)
    # Draws of two photographs: both twice the first, of which half is found, or one of each, or nothing to be found.
    two = evaluate_ranking(np.array([2.0, 1.0]), np.array([5.0, 0.0]), TEN[:2], share=0.5)
    assert (two.found, two.low, two.high) == (1.0, 0.5, 1.0)
    even = evaluate_ranking(np.arange(50.0), np.full(50, 7.0), 5 * TEN)
    assert even.found == even.low == even.high == even.random == even.perfect == pytest.approx(0.2)
    tied = evaluate_ranking(np.zeros(10), missed, TEN)
    assert tied.found == pytest.approx(0.2) and tied.random == 0.2
    assert evaluate_ranking(missed, missed, TEN, share=0.11).random == 0.2  # two of ten, rounded up
    assert evaluate_ranking(missed, np.zeros(10), TEN) is None


def test_photographs_count_what_their_masks_miss():
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
    missed = np.where(red < 0.5, red, 0).mean(axis=(1, 2))
    np.testing.assert_allclose([item.expected_missed for item in reviewed], missed, rtol=1e-5)
    found = rankings(reviewed, 0.2)
    assert found["corroded area"].random == 0.2 and found["expected missed area"].perfect == max(
        item.missed for item in reviewed
    ) / sum(item.missed for item in reviewed)
