"""Names, labels and ranges of all metrics, and the documentation's table of them."""

from pathlib import Path

import pytest

from spotrust_jax.metrics.registry import GROUPS, METRICS, markdown_table

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


def test_names_and_labels_are_of_one_metric_each():
    metrics = [metric for group in GROUPS for metric in group.metrics]
    assert len(METRICS) == len(metrics) == len({metric.label for metric in metrics})


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_metric_says_what_it_is(metric):
    assert metric.__doc__ and metric.label and metric.range[0] < metric.range[1]


def test_documentation_has_the_table():
    assert markdown_table() in DOCUMENTATION.read_text(), f"put this into {DOCUMENTATION.name}:\n{markdown_table()}"
