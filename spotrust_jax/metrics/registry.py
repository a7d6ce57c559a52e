"""All metrics: evaluations, their tables and the documentation go by these groups."""

from spotrust_jax.metrics.corp import RELIABILITY
from spotrust_jax.metrics.detection import DETECTION
from spotrust_jax.metrics.masks import MASKS
from spotrust_jax.metrics.metric import Group, Metric
from spotrust_jax.metrics.probabilities import PROBABILITIES
from spotrust_jax.metrics.ranking_errors import RANKING_ERRORS

GROUPS: tuple[Group, ...] = (MASKS, PROBABILITIES, RELIABILITY, RANKING_ERRORS, DETECTION)

METRICS: dict[str, type[Metric]] = {metric.name: metric for group in GROUPS for metric in group.metrics}
"""By name."""


def value_range(name: str) -> tuple[float, float]:
    """The values that a metric can have."""
    return METRICS[name].range


def markdown_table() -> str:
    """The table of the documentation."""
    rows = [
        (f"`{metric.name}`", metric.label, group.title.lower(), (metric.__doc__ or "").splitlines()[0], _range(metric))
        for group in GROUPS
        for metric in group.metrics
    ]
    head = ("metric", "label", "table", "meaning", "range")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def _range(metric: type[Metric]) -> str:
    return "{:g} to {:g}".format(*metric.range).replace("inf", "∞")
