"""What a metric is; the metrics are in masks.py, probabilities.py, ranking_errors.py and detection.py."""

import abc
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float64

# One number for each set of images.
PerSet = float | Float64[np.ndarray, "*sets"]
Values = dict[str, PerSet]


class Metric(abc.ABC):
    """A number made of counts and sums of pixels, which add up over images. Nobody instantiates it.

    The first line of a metric's docstring is what the documentation says of it.

    Attributes:
        name: in files and tables.
        label: for people.
        range: of the values that it can have.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @staticmethod
    @abc.abstractmethod
    def compute(sums: Any) -> PerSet:
        """From the sums that its group has, of one set of images or of each of several."""


class Group(NamedTuple):
    """Metrics that are made of the same sums and share a table.

    Attributes:
        title: of the table.
        metrics: its columns.
    """

    title: str
    metrics: tuple[type[Metric], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its metrics."""
        return tuple(metric.name for metric in self.metrics)

    def compute(self, sums: Any) -> Values:
        """All of its metrics by name."""
        return {metric.name: metric.compute(sums) for metric in self.metrics}
