import numpy as np
import pytest
import scipy.stats

from spotrust_jax.metrics import bootstrap
from spotrust_jax.metrics.bootstrap import FEW_GROUPS, deviations, group_note, group_weights, interval, tail_of
from spotrust_jax.metrics.registry import value_range

PHOTOGRAPHS = [str(number) for number in range(30)]
COUNTS = np.random.default_rng(0).integers(1, 200, (30, 3)).astype(float)  # true positive, false positive, negative
PAIRS = [str(number // 2) for number in range(30)]


def _pooled_iou(weights):
    true_positive, false_positive, false_negative = (weights @ COUNTS).T
    return {"iou": true_positive / (true_positive + false_positive + false_negative)}


def _mean_iou(weights):
    return {"iou": weights @ (COUNTS[:, 0] / COUNTS.sum(axis=1)) / weights.sum(axis=1)}


@pytest.mark.parametrize("groups", [PHOTOGRAPHS, PAIRS], ids=["photographs", "pairs"])
def test_interval_is_that_of_scipy(groups):
    """Scipy resamples the sums of each group: all of its photographs come together."""
    sums = COUNTS if groups is PHOTOGRAPHS else COUNTS.reshape(15, 2, 3).sum(axis=1)
    means = (COUNTS[:, 0] / COUNTS.sum(axis=1)).reshape(len(sums), -1).mean(axis=1)

    def pooled_iou(tp, fp, fn, axis):
        return tp.sum(axis) / (tp + fp + fn).sum(axis)

    def mean_iou(values, axis):
        return values.mean(axis)

    level = 1 - 2 * tail_of(0.9, len(sums))
    for measure, statistic, data in ((_pooled_iou, pooled_iou, tuple(sums.T)), (_mean_iou, mean_iou, (means,))):
        value = measure(np.ones((1, 30)))["iou"][0]
        moved = deviations(measure, [groups], resamples=20_000)["iou"]
        low, high = interval(value, moved, len(sums), (0.0, 1.0), level=0.9)
        expected = scipy.stats.bootstrap(
            data, statistic, paired=True, vectorized=True, method="percentile",
            confidence_level=level, n_resamples=20_000, rng=np.random.default_rng(5),
        ).confidence_interval  # fmt: skip
        # The two draw different groups: an end of the interval is known to about a hundredth of its width.
        tolerance = 0.05 * (expected.high - expected.low)
        assert low == pytest.approx(expected.low, abs=tolerance)
        assert high == pytest.approx(expected.high, abs=tolerance)


@pytest.mark.parametrize("at_a_time", [1, 60, 1000])
def test_deviations_are_those_of_a_plain_loop(at_a_time, monkeypatch):
    monkeypatch.setattr(bootstrap, "_RESAMPLES_AT_A_TIME", at_a_time)
    found = deviations(_mean_iou, [PAIRS], resamples=101, seed=7)["iou"]
    weights = group_weights(PAIRS, 101, np.random.default_rng(7))
    each = COUNTS[:, 0] / COUNTS.sum(axis=1)
    expected = [np.repeat(each, row.astype(int)).mean() - each.mean() for row in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_groups_are_drawn_whole_and_as_many_as_there_are():
    groups = ["a", "b", "a", "c", "b", "a"]
    weights = group_weights(groups, 500, np.random.default_rng(0))
    for name in "abc":
        rows = weights[:, [group == name for group in groups]]
        assert (rows == rows[:, :1]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


@pytest.mark.parametrize("structures", [6, 20])
def test_interval_covers_the_true_value_where_structures_repeat(structures):
    """Five photographs of each structure; what 95% intervals over photographs and over structures hold."""
    generator = np.random.default_rng(structures)
    groups = np.repeat(np.arange(structures), 5).astype(str).tolist()
    held = {"photographs": 0, "structures": 0}
    for trial in range(400):
        quality = np.repeat(generator.normal(0.7, 0.1, structures), 5) + generator.normal(0, 0.03, len(groups))
        mean = lambda weights, q=quality: {"q": weights @ q / weights.sum(axis=1)}  # noqa: E731
        for name, those in (("photographs", np.arange(len(groups)).astype(str).tolist()), ("structures", groups)):
            moved = deviations(mean, [those], resamples=500, seed=trial)["q"]
            low, high = interval(quality.mean(), moved, len(set(those)), (0.0, 1.0))
            held[name] += low <= 0.7 <= high
    # 400 trials have a standard error of 0.011.
    assert 0.92 <= held["structures"] / 400 <= 0.98
    assert held["photographs"] / 400 < 0.75


def test_paired_differences_cover_as_often_as_they_say_and_are_narrower():
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 4).astype(str).tolist()
    held, narrower = 0, 0
    for trial in range(400):
        hardness = np.repeat(generator.normal(0, 0.1, 12), 4)
        first, second = (level + hardness + generator.normal(0, 0.05, 48) for level in (0.6, 0.63))

        def means(weights, first=first, second=second):
            return {"a": weights @ first / weights.sum(axis=1), "b": weights @ second / weights.sum(axis=1)}

        moved = deviations(means, [groups], resamples=500, seed=trial)
        low, high = interval((second - first).mean(), moved["b"] - moved["a"], 12, (-1.0, 1.0))
        alone = interval(second.mean(), moved["b"], 12, (0.0, 1.0))
        held += low <= 0.03 <= high
        narrower += high - low < alone[1] - alone[0]
    assert 0.92 <= held / 400 <= 0.98 and narrower > 390


def test_tails_of_many_groups_are_those_of_the_level():
    assert tail_of(0.95, 10**6) == pytest.approx(0.025, abs=1e-5)
    assert tail_of(0.95, 10) < tail_of(0.95, 30) < 0.025


def test_single_group_has_its_own_score_at_both_ends():
    moved = deviations(_mean_iou, [["one"] * 30], resamples=50)["iou"]
    assert interval(0.4, moved, 1, (0.0, 1.0)) == pytest.approx((0.4, 0.4))


def test_few_groups_are_said_in_words():
    assert group_note(PHOTOGRAPHS) == "in brackets 95% bootstrap intervals over 30 photographs"
    assert "30 photographs in 15 groups" in group_note(PAIRS) and "few" not in group_note(PAIRS)
    words = group_note(PAIRS[: 2 * (FEW_GROUPS - 1)])
    assert f"in {FEW_GROUPS - 1} groups, which are too few" in words and "hold less often" in words


def test_interval_stays_within_what_a_share_can_be():
    # Coarse bins make 0.97 of what is 0.995: the interval is moved up by as much, but a share ends at 1.
    shares = np.array([0.94, 0.96, 0.97, 0.98, 1.0])
    moved = deviations(lambda weights: {"auroc": weights @ shares / 5}, [list("abcde")])["auroc"]
    low, high = interval(0.995, moved, 5, value_range("negative_log_likelihood"))
    assert low < 0.995 and high > 1.0
    assert interval(0.995, moved, 5, value_range("auroc")) == (low, 1.0)
