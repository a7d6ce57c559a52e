"""Split conformal prediction over groups: quantiles that a new group keeps to, and how many groups they take.

Each group counts the same, whatever its size, and one more that may be anything stands for the one to come. Lee, Barber
and Willett, Distribution-free inference with hierarchical data, 2023.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64


def needed_groups(error: float) -> int:
    """The fewest groups from which anything can be said that fails for at most a share `error` of new ones."""
    return math.ceil(1 / error - 1 - 1e-9)


def group_quantile(scores: Float64[np.ndarray, "scores"], groups: Sequence[str], level: float) -> float:
    """The smallest score that those of a new group stay at or below with probability `level`.

    It is infinite where there are fewer groups than `needed_groups(1 - level)`. The score of a new group is that of one
    of its photographs, drawn at random; the probability is over the draw of all groups.
    """
    _, place, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    weights = 1 / ((len(counts) + 1) * counts[place])
    order = np.argsort(scores, kind="stable")
    reached = np.searchsorted(weights[order].cumsum(), level - 1e-9)
    return float(scores[order][reached]) if reached < len(order) else math.inf
