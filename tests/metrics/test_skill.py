"""Models that know something and models that do not, by photographs whose ranking is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from spotrust_jax.metrics.reliability import probability_histogram
from spotrust_jax.metrics.skill import ranking, without_skill

NAMES = [str(number) for number in range(12)]


def photographs(shift, seed=0, count=12):
    """Probabilities and truth of pixels; the corroded ones are higher by so many standard deviations."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        truth = random.random(3000) < 0.2
        logits = random.normal(size=3000) + shift * truth - 3
        yield (1 / (1 + np.exp(-logits))).astype(np.float32), truth


def histograms(found):
    return [probability_histogram(probability, truth) for probability, truth in found]


@pytest.mark.parametrize("shift", [0.0, 0.7, -1.0])
def test_ranking_is_that_of_scikit_learn(shift):
    found = list(photographs(shift))
    expected = roc_auc_score(np.concatenate([truth for _, truth in found]), np.concatenate([p for p, _ in found]))
    ranked = ranking(histograms(found), NAMES)
    assert ranked.auroc == pytest.approx(expected, abs=2e-4)
    assert ranked.low < ranked.auroc < ranked.high < ranked.low + 0.05


def test_only_a_model_whose_ranking_may_be_random_is_said_to_know_nothing():
    assert without_skill(histograms(photographs(0.7)), NAMES) is None
    for shift in (0.0, -1.0):
        words = without_skill(histograms(photographs(shift)), NAMES)
        assert words.startswith("this model knows nothing") and "over 12 photographs" in words and "\n" not in words


def test_one_probability_everywhere_ranks_at_random():
    constant = [(np.full(100, 0.3, np.float32), np.arange(100) < number) for number in (0, 10, 30)]
    assert ranking(histograms(constant), NAMES[:3]) == (0.5, 0.5, 0.5)
    assert without_skill(histograms(constant), NAMES[:3]) is not None


def test_photographs_without_corrosion_say_nothing_about_a_model():
    assert (
        without_skill(histograms([(np.linspace(0, 1, 50, dtype=np.float32), np.zeros(50, bool))] * 3), NAMES[:3])
        is None
    )
