import numpy as np
import pytest
import scipy.stats

from spotrust_jax.errors import InputError
from spotrust_jax.metrics import bootstrap
from spotrust_jax.metrics.bootstrap import bootstrap_interval, measure_intervals
from spotrust_jax.metrics.masks import Confusion, Scores, mean_scores, pooled_scores
from spotrust_jax.metrics.registry import value_range


def _confusions(seed: int, images: int) -> list[Confusion]:
    counts = np.random.default_rng(seed).integers(0, 200, (images, 4))
    return [Confusion(*row) for row in counts.tolist()]


def test_interval_is_that_of_scipy():
    confusions = _confusions(seed=0, images=30)
    counts = np.array([(c.true_positive, c.false_positive, c.false_negative, c.true_negative) for c in confusions])

    def pooled_iou(tp, fp, fn, axis):
        return tp.sum(axis) / (tp + fp + fn).sum(axis)

    def mean_iou(tp, fp, fn, axis):
        return (tp / (tp + fp + fn)).mean(axis)

    for statistic, reference in ((pooled_scores, pooled_iou), (mean_scores, mean_iou)):
        lower, upper = bootstrap_interval(confusions, statistic, level=0.9, resamples=20_000)
        expected = scipy.stats.bootstrap(
            tuple(counts[:, :3].T), reference, paired=True, vectorized=True, method="percentile",
            confidence_level=0.9, n_resamples=20_000, rng=np.random.default_rng(5),
        )  # fmt: skip
        # The two draw different images: an end of the interval is known to about a hundredth of its width.
        tolerance = 0.05 * (expected.confidence_interval.high - expected.confidence_interval.low)
        assert lower.iou_corrosion == pytest.approx(expected.confidence_interval.low, abs=tolerance)
        assert upper.iou_corrosion == pytest.approx(expected.confidence_interval.high, abs=tolerance)


@pytest.mark.parametrize("statistic", [pooled_scores, mean_scores])
@pytest.mark.parametrize("drawn_at_a_time", [1, 60, 1 << 20])
def test_interval_is_that_of_a_plain_loop(statistic, drawn_at_a_time, monkeypatch):
    confusions = _confusions(seed=1, images=12)
    draws = np.random.default_rng(7).integers(12, size=(101, 12))
    values = np.array([statistic([confusions[i] for i in draw]) for draw in draws])
    # 101 resamples have 100 steps between them, so that 5% and 95% are the sixth from either end.
    ordered = np.sort(values, axis=0)
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_A_TIME", drawn_at_a_time)
    lower, upper = bootstrap_interval(confusions, statistic, level=0.9, resamples=101, seed=7)
    np.testing.assert_allclose(lower, ordered[5], rtol=1e-12)
    np.testing.assert_allclose(upper, ordered[95], rtol=1e-12)


def test_interval_covers_the_true_value_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    covered = []
    for trial in range(400):
        # Accuracy of an image is uniform on 0.4 to 0.8: its mean over images is 0.6.
        right = generator.integers(4000, 8001, 40).tolist()
        images = [Confusion(true_positive=n, false_positive=10_000 - n) for n in right]
        lower, upper = bootstrap_interval(images, mean_scores, level=0.9, resamples=300, seed=trial)
        covered.append(lower.accuracy <= 0.6 <= upper.accuracy)
    # For 40 images the percentile interval is known to be a little short; 400 trials have a std of 0.015.
    assert 0.84 <= np.mean(covered) <= 0.94


@pytest.mark.parametrize("statistic", [pooled_scores, mean_scores])
def test_single_image_has_its_own_score_at_both_ends(statistic):
    lower, upper = bootstrap_interval([Confusion(30, 10, 20, 40)], statistic, resamples=50)
    expected = Scores(0.5, (0.5 + 4 / 7) / 2, 60 / 90, 0.75, 0.6, 0.7, 6**-0.5)
    assert lower == pytest.approx(expected)
    assert upper == pytest.approx(expected)


def test_no_image_is_one_clear_line():
    with pytest.raises(InputError, match="no image to score"):
        bootstrap_interval([], pooled_scores)


def test_interval_stays_within_what_a_share_can_be():
    # Coarse bins make 0.97 of what is 0.995: the interval is moved up by as much, but a share ends at 1.
    shares = np.array([0.94, 0.96, 0.97, 0.98, 1.0])
    measure = lambda weights: {"auroc": weights @ shares / 5, "negative_log_likelihood": weights @ shares / 5}  # noqa: E731
    values = {"auroc": 0.995, "negative_log_likelihood": 0.995}
    found = measure_intervals(measure, values, [5], {name: value_range(name) for name in values})
    low, high = found["negative_log_likelihood"]
    assert low < 0.995 and high > 1.0
    assert found["auroc"] == (low, 1.0)
