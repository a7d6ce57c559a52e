"""A data set of random photographs with names of one's choice, and a card for it."""

import numpy as np

from spotrust_jax.data.card import ChannelStatistics, DatasetCard
from spotrust_jax.data.example import Example

CARD = DatasetCard(
    "bridges", "Brücken\n  im Regen", "2.0.1", "@misc{x}", "CC BY 4.0", ChannelStatistics((0.1,) * 3, (0.2,) * 3)
)


class Photographs:
    """Random photographs of the given names, each of another size; corroded where they are bright."""

    def __init__(self, names, seed=0, largest=30):
        self.names = tuple(names)
        self._seed, self._largest = seed, largest

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        rng = np.random.default_rng([self._seed, *name.encode("utf-8", "surrogateescape")])
        height, width = rng.integers(1, self._largest, 2)
        image = rng.integers([0, 40, 200], [256, 60, 256], (height, width, 3), np.uint8)
        return Example(name, image, image[..., 0] > 100, f"with {name} and others")

    def __iter__(self):
        return (self[index] for index in range(len(self)))
