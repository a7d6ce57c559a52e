"""How far measures would move with other test photographs: a bootstrap over groups of them, not over pixels.

Photographs of one structure resemble each other, so groups are what is drawn with replacement. The same draws measure
every model, so that differences between models are paired.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float64

Interval = tuple[float, float]

# By any names.
Measures = Mapping[Any, float | Float64[np.ndarray, "*sets"]]

Deviations = dict[Any, Float64[np.ndarray, "resamples"]]
"""How far each measure is off in each resample, by its name."""

FEW_GROUPS = 6
"""With fewer groups, intervals hold less often than they say (tests/metrics/test_bootstrap.py)."""

LEVEL = 0.95
RESAMPLES = 1000

# Resamples whose histograms are in memory at a time.
_RESAMPLES_AT_A_TIME = 50


def deviations(
    measure: Callable[..., Measures],
    groups: Sequence[Sequence[str]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Deviations:
    """How far measures of resampled photographs are from those of the photographs as they are.

    Args:
        measure: takes for each set of photographs how often each of them counts, [resamples, photographs], and gives
            the measures of each resample.
        groups: of each set, the group of each photograph; a group is drawn with all of its photographs. Each set is
            resampled by itself.
        resamples: how many.
        seed: of the draws, which depend on nothing else but the groups.
    """
    drawn = [measure(*weights) for weights in _weights(groups, resamples, seed)]
    plain = measure(*(np.ones((1, len(one))) for one in groups))
    return {name: np.concatenate([one[name] for one in drawn]) - np.ravel(plain[name])[0] for name in plain}


def interval(
    value: float,
    deviations: Float64[np.ndarray, "resamples"],
    groups: int,
    values: Interval,
    level: float = LEVEL,
) -> Interval:
    """Percentile interval of a measure, widened for few groups, and not out of the range of `values` that it has.

    The deviations may be those of coarser bins than the value. A single group says nothing about others, and its
    interval is its own value.
    """
    tail = tail_of(level, groups)
    low, high = np.clip(np.quantile(deviations, [tail, 1 - tail]) + value, *values)
    return float(low), float(high)


def tail_of(level: float, groups: int) -> float:
    """Share of the resamples beyond each end of an interval.

    A bootstrap of n groups is too narrow, by sqrt((n - 1) / n) and by the normal quantile in place of Student's; the
    quantiles further out correct for both (the expanded percentile interval of Hesterberg 2015, section 3.3).
    """
    if groups < 2:
        return (1 - level) / 2
    student = scipy.stats.t.ppf((1 + level) / 2, groups - 1)
    return float(scipy.stats.norm.cdf(-np.sqrt(groups / (groups - 1)) * student))


def group_note(groups: Sequence[str], level: float = LEVEL) -> str:
    """In words, what intervals go by, and what they are worth where there are few groups."""
    if len(set(groups)) >= FEW_GROUPS:
        return f"in brackets {level:.0%} bootstrap intervals over {in_groups(groups)}"
    return (
        f"in brackets bootstrap intervals over {in_groups(groups)}, which are too few: the intervals hold less often "
        f"than {level:.0%}; label photographs of {FEW_GROUPS} structures or more"
    )


def group_weights(
    groups: Sequence[str], resamples: int, generator: np.random.Generator
) -> Float64[np.ndarray, "resamples photographs"]:
    """How often each photograph counts in each resample, as often as its group is drawn."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    return generator.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)[:, place]


def in_groups(groups: Sequence[str]) -> str:
    """Photographs by number, with that of their groups where these are fewer."""
    photographs, count = len(groups), len(set(groups))
    return f"{photographs} photographs" + (f" in {count} group{'s' * (count > 1)}" if count < photographs else "")


def _weights(
    groups: Sequence[Sequence[str]], resamples: int, seed: int
) -> Iterator[list[Float64[np.ndarray, "_ _photographs"]]]:
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _RESAMPLES_AT_A_TIME):
        rows = min(_RESAMPLES_AT_A_TIME, resamples - start)
        yield [group_weights(one, rows, generator) for one in groups]
