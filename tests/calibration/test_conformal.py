"""Ranks of conformal quantiles, against those counted by hand."""

import math

import numpy as np
import pytest

from spotrust_jax.calibration.conformal import group_quantile, needed_groups


@pytest.mark.parametrize(("error", "groups"), [(0.1, 9), (1 - 0.9, 9), (0.05, 19), (0.3, 3), (0.5, 1), (0.01, 99)])
def test_fewest_groups(error, groups):
    assert needed_groups(error) == groups
    names = [str(i) for i in range(groups)]
    assert group_quantile(np.arange(groups, dtype=float), names, 1 - error) < math.inf
    assert group_quantile(np.arange(groups - 1, dtype=float), names[1:], 1 - error) == math.inf


@pytest.mark.parametrize(("count", "level"), [(9, 0.9), (19, 0.9), (20, 0.9), (60, 0.9), (79, 0.95), (10, 0.5)])
def test_rank_is_that_of_one_group_more(count, level):
    # The ceil((n + 1) level)-th smallest of n (Vovk, Gammerman and Shafer 2005).
    scores = np.random.default_rng(0).permutation(count).astype(float)
    found = group_quantile(scores, [str(i) for i in range(count)], level)
    assert found == math.ceil((count + 1) * level - 1e-9) - 1


def test_each_group_counts_the_same():
    # One group of a hundred photographs with small scores, and three of a single one.
    scores, groups = np.array([*np.linspace(0, 1, 100), 5.0, 6.0, 7.0]), [*["many"] * 100, "a", "b", "c"]
    assert group_quantile(scores, groups, 0.2) == 1.0
    assert group_quantile(scores, groups, 0.4) == 5.0 and group_quantile(scores, groups, 0.8) == 7.0
