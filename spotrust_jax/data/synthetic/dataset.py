"""The survey scenes as a data set, and those without steel as splits of their own."""

from collections.abc import Iterator

from spotrust_jax.data.example import Example
from spotrust_jax.data.synthetic.out_of_distribution import draw_out_of_distribution_scene
from spotrust_jax.data.synthetic.scene import SURVEY_SCENES, SurveyConfig, draw_survey_scene
from spotrust_jax.errors import InputError

SPLIT_SEEDS = {
    "train": 0,
    "validation": 1,
    "test": 2,
    "out_of_distribution_validation": 3,
    "out_of_distribution_test": 4,
}


class SurveySceneDataset:
    """Scenes `train_0000`, `train_0001`, ... of one split, each its own group, drawn whenever one is asked for.

    The number of the first one may be given; a scene is the same whatever the count. The splits
    `out_of_distribution_validation` and `out_of_distribution_test` show no steel, and nothing in them is corroded:
    what a network finds there, and how certain it is, measures how it behaves out of distribution.

    Raises:
        InputError: for a split that does not exist, a count below one, a first below zero, or a size below 32 pixels.
    """

    def __init__(
        self, split: str, count: int, size: int = 256, config: SurveyConfig = SURVEY_SCENES, *, first: int = 0
    ):
        if split not in SPLIT_SEEDS:
            raise InputError(f"survey scenes have no split {split!r}: choose one of {', '.join(SPLIT_SEEDS)}")
        if count < 1:
            raise InputError(f"{count} scenes were asked for in split {split}: give a count of at least 1")
        if first < 0:
            raise InputError(f"scenes from number {first} on were asked for: give a number from 0 up")
        if size < 32:
            raise InputError(f"scenes of {size} pixels were asked for: give a size of at least 32")
        self.names = tuple(f"{split}_{index:04d}" for index in range(first, first + count))
        self._first = first
        self._config = config
        self._size = size
        self._seed = SPLIT_SEEDS[split]
        self._draw = draw_out_of_distribution_scene if split.startswith("out_of_distribution_") else draw_survey_scene

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        index = range(len(self))[index]
        image, mask = self._draw(self._config, self._seed, self._first + index, self._size)
        return Example(self.names[index], image, mask, self.names[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))
