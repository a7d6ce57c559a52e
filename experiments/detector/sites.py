"""The four kinds of site, and which photographs come first where a site is to have few."""

import numpy as np

from experiments.detector.folders import Row

SITES = ("bridge", "captura", "city", "footbridge")

COUNTS = (10, 25, 50)
"""Photographs that networks are fine-tuned to a new site with."""


def in_random_order(rows: list[Row], seed: int = 0) -> list[Row]:
    """Photographs, group by group."""
    groups = sorted({row["group"] for row in rows})
    place = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)).tolist(), strict=True))
    return sorted(rows, key=lambda row: (place[row["group"]], row["name"]))
