"""What a job asks of everything that is written of its photographs besides their maps: tables, reports, labels.

A writer knows nothing of the job, and the job nothing of its writers but this.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig, ModelCard
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import Photograph
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.outputs.map_files import Result
from spotrust_jax.outputs.summary import Row


@dataclasses.dataclass(frozen=True)
class Model:
    """What people read about how maps were made.

    Attributes:
        name: of the model.
        kind: such as "variational, w48".
        num_samples: passes.
        scale: long side of the analysis in pixels, or None for each photograph's own.
        threshold: probability from which a pixel counts as corrosion.
        areas: what intervals of areas are made of.
        card: facts about a published model.
        trained_on: number of images that are known to have been used for its weights.
        calibrated: whether its probabilities are.
        threshold_rule: what the threshold was chosen by.
    """

    name: str
    kind: str
    num_samples: int
    scale: int | None
    threshold: float
    areas: AreaCalibration = AreaCalibration()
    card: ModelCard = dataclasses.field(default_factory=ModelCard)
    trained_on: int = 0
    calibrated: bool = False
    threshold_rule: str = "one half"

    @property
    def area_level(self) -> str:
        """How often intervals of areas hold, in words."""
        return f"{self.areas.level:.0%}"


class Run(NamedTuple):
    """A run whose photographs are done.

    Attributes:
        output: folder of the maps.
        rows: of all photographs, also of those that an earlier run has done or that failed.
        model: what they were analysed by.
        suffix: of the names of files that are about the whole run, such as that of a shard.
    """

    output: Path
    rows: Sequence[Row]
    model: Model
    suffix: str = ""

    @property
    def analysed(self) -> list[Row]:
        """Those of photographs that have maps."""
        return [row for row in self.rows if row.height is not None]


@runtime_checkable
class Writer(Protocol):
    """Files of each photograph of a job, written from its maps window by window, and files of the whole run."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its files of a photograph depend on besides the maps, as JSON; other settings make them anew."""
        ...

    def photograph_files(self, output: Path, photograph: Photograph) -> list[Path]:
        """All files that it writes of a photograph, which are below the folder of the maps."""
        ...

    def write(self, output: Path, photograph: Photograph, row: Row, result: Result) -> Row:
        """Writes them and returns the photograph's line with what is known now.

        Writers before it have written theirs. `Result.rows` gives the maps window by window, so that a large photograph
        takes no more memory than a small one.
        """
        ...

    def run_files(self, output: Path, suffix: str) -> list[Path]:
        """All files and folders that it may write at the end of a run."""
        ...

    def finish(self, run: Run) -> Path | None:
        """Writes them; a page that people open is returned."""
        ...


def described(config: CheckpointConfig, checkpoint: Path, analysis: Analysis, threshold: float) -> Model:
    """A checkpoint and its analysis in words."""
    members = f"ensemble of {config.members}, " if config.members > 1 else ""
    passes = analysis.num_samples if variant_of(config.model).stochastic else 1
    # RUN/best says less than RUN.
    folder = checkpoint.parent if checkpoint.suffix == ".safetensors" else checkpoint
    name = config.card.name or (folder.resolve().parent.name if folder.name == "best" else folder.resolve().name)
    kind = f"{members}{config.model.variant}, {config.model.preset}"
    return Model(
        name,
        kind,
        passes,
        analysis.scale,
        threshold,
        config.areas,
        config.card,
        len(config.trained_on.names),
        config.calibration != PlattScaling(),
        config.threshold_rule if threshold == config.threshold else "chosen for this run",
    )
