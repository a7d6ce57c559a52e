"""What describes a map besides its values: words, unit and range, how parts of it combine, and where it goes.

The maps themselves are the fields of `Prediction`, and `prediction.MAPS` is the table of them.
"""

import dataclasses
import enum
from collections.abc import Mapping

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.models.variants.registry import variant_of


class Combination(enum.Enum):
    """How the maps of several parts become one: of tiles that overlap, or of test-time augmentations.

    Standard deviations follow the law of total variance: the mean variance within the parts, the variance between
    the probabilities of the parts, or the sum of both.
    """

    MEAN = "mean"
    WITHIN = "root of the mean variance"
    BETWEEN = "standard deviation of their probabilities"
    TOTAL = "root of the mean variance and the variance of their probabilities"


class Given(enum.Enum):
    """When a prediction has a map."""

    ALWAYS = "always"
    ENSEMBLE = "by an ensemble of stochastic networks"
    AUGMENTED = "with `--tta`"
    NOVELTY = "by a model with novelty"
    DECOMPOSED = "on request"


@dataclasses.dataclass(frozen=True)
class MapPicture:
    """How a map is drawn.

    Attributes:
        name: in the file's name, STEM_NAME.png.
        label: of the colour bar.
        always: whether it is one of the pictures that are always written; the others only come by picture options.
        whole_range: whether the colours span the map's range, and not that of its values.
    """

    name: str
    label: str
    always: bool = True
    whole_range: bool = False


@dataclasses.dataclass(frozen=True)
class Map:
    """A map of a photograph, one number a pixel.

    Attributes:
        title: a few words.
        meaning: a line for the documentation.
        unit: of the numbers.
        range: of the numbers; None where it is the model's bound of the log variance, on both sides of 0.
        tiles: how the maps of overlapping tiles become that of the photograph.
        augmentations: how those of test-time augmentations do.
        given: when there is such a map.
        stored: whether STEM_maps.npz has it. The summary has the mean of every map.
        compressed: whether that pays there: noise does not shrink.
        picture: how it is drawn, if it is.
        ranks_errors: whether `evaluate` ranks pixels by it, the highest as the most uncertain.
    """

    title: str
    meaning: str
    unit: str
    range: tuple[float, float] | None
    tiles: Combination = Combination.MEAN
    augmentations: Combination = Combination.MEAN
    given: Given = Given.ALWAYS
    stored: bool = True
    compressed: bool = True
    picture: MapPicture | None = None
    ranks_errors: bool = False

    @property
    def floor(self) -> float | None:
        """The lower end of its range, where that does not depend on the model."""
        return None if self.range is None else self.range[0]

    @property
    def column(self) -> str:
        """The range as the documentation has it."""
        return "within ±`loss.log_variance_bound`" if self.range is None else "{:g} to {:.3g}".format(*self.range)


def given_by(maps: Mapping[str, Map], config: CheckpointConfig) -> tuple[str, ...]:
    """The maps that a model gives of itself, neither decomposed nor with test-time augmentation."""
    kinds = {Given.ALWAYS}
    if config.members > 1 and variant_of(config.model).stochastic:
        kinds.add(Given.ENSEMBLE)
    return tuple(name for name, described in maps.items() if described.given in kinds)


def markdown_table(maps: Mapping[str, Map]) -> str:
    """The table of the documentation."""
    head = ("map", "name", "meaning", "unit", "range", "given", "tiles", "`--tta`", "files")
    rows = [_row(name, described) for name, described in maps.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)) + "\n"


def _row(name: str, described: Map) -> tuple[str, ...]:
    files = [f"`mean_{name}`"]
    files += ["`_maps.npz`"] * described.stored
    if described.picture is not None:
        files.append(f"`_{described.picture.name}.png`" if described.picture.always else "picture options")
    return (
        described.title,
        f"`{name}`",
        described.meaning,
        described.unit,
        described.column,
        described.given.value,
        described.tiles.value,
        described.augmentations.value,
        ", ".join(files),
    )
