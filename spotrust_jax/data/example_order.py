"""The order in which training sees its examples: endless, shuffled by seed, balanced over sites."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import grain
import numpy as np

from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError


@runtime_checkable
class _KnowsSites(Protocol):
    sites: Sequence[str]


def sites_of(dataset: Dataset) -> Sequence[str]:
    """Where each example of a data set comes from: one site for all where it does not say."""
    return dataset.sites if isinstance(dataset, _KnowsSites) else ("",) * len(dataset)


def training_order(sites: Sequence[str], seed: int, site_power: float = 1.0) -> grain.MapDataset:
    """Endless order of example numbers.

    Args:
        sites: where each example comes from.
        seed: of the order.
        site_power: sites with n examples have shares in proportion to n ** site_power: with 1 every example comes
            equally often, with 0 every site does. Within a site every example comes once before any comes again.

    Raises:
        InputError: where sites are to be balanced and none is known.
    """
    if site_power == 1.0:
        return grain.MapDataset.range(len(sites)).seed(seed).shuffle().repeat()
    if not any(sites):
        raise InputError(
            f"config.data.site_power is {site_power:g}, but the data set names no sites: add a column site to its "
            f"splits.csv and prepare it again, or leave site_power at 1"
        )
    names, site_of = np.unique(np.asarray(sites), return_inverse=True)
    members = [np.flatnonzero(site_of == number) for number in range(len(names))]
    orders = [
        grain.MapDataset.source(examples.tolist()).seed(seed + number).shuffle().repeat()
        for number, examples in enumerate(members)
    ]
    shares = np.array([len(examples) for examples in members], np.float64) ** site_power
    return grain.MapDataset.mix(orders, weights=(shares / shares.sum()).tolist())
