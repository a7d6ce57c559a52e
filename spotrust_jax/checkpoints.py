"""Trained models on disk: `config.json`, and the variables as an Orbax checkpoint or in half precision as safetensors.

`training/checkpointing.py` has the state of a run in progress (optimiser, schedules); `io/model_folders.py` knows
which models come with the package, and where they are.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from safetensors.numpy import save

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.novelty import KnownFeatures, NoveltyCalibration, from_tensors
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.calibration.promises import Promise
from spotrust_jax.config import Bounding, LossKind, ModelConfig
from spotrust_jax.data.seen import SeenPhotographs
from spotrust_jax.errors import InputError
from spotrust_jax.fields import is_finite, read_config_file, shown, to_dict
from spotrust_jax.io.atomic_files import atomic_file, write_atomically
from spotrust_jax.io.model_folders import CONFIG_NAME, NOVELTY_NAME, WEIGHTS_NAME, Location, locate
from spotrust_jax.io.orbax_reads import quiet_reads, reason
from spotrust_jax.io.regular_files import special_file
from spotrust_jax.io.weight_files import read_tensors
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.segmenter import Variables
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.models.weights import read_variables, write_variables

FORMAT = 1

_LARGEST_SIZE = 2**15  # pixels: beyond, a long side is a damaged number and would fill the memory
_MOST_MEMBERS = 1000  # as many as a run may train


@dataclasses.dataclass(frozen=True)
class Score:
    """A measured figure: `measure` (such as "F1") on photographs `on`, with its 95% interval from `low` to `high`."""

    measure: str
    on: str
    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """Facts about a published model; empty for one that somebody trains.

    Attributes:
        name, version: of the model.
        licence: of the weights.
        sources: what it was trained on, one line each.
        scores: how good it is.
    """

    name: str = ""
    version: str = ""
    licence: str = ""
    sources: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """What must be known to use a model's variables.

    Attributes:
        model: the network.
        members: networks whose variables are stacked on the leading axis; more than one are an ensemble.
        mean, std: channel statistics that images in [0, 1] are normalised by.
        inference_size: long side, in pixels, that the model was trained at.
        positive_weight: weight of corroded pixels in training, which raised the logits by its logarithm.
        loss: what training minimised.
        log_variance_bound, log_variance_bounding: range that training kept the log variance in, and how.
        calibration: of the mean probabilities of passes.
        threshold: (calibrated) probability from which a pixel counts as corrosion.
        threshold_rule: in words, what the threshold was chosen by.
        areas: what intervals of corroded areas are made of.
        novelty: what its novelty is measured from; the arrays are in a file of their own.
        untrained: parts of the network ("head", "bayesian", "aleatoric") that still have their random initial value.
        trained_on, selected_on, calibrated_on: photographs that its weights learnt from, that chose among weights, and
            that calibration and threshold come from.
        card: facts about a published model.
        promise: what the threshold promises, if anything.
        format: version of this layout.
    """

    model: ModelConfig
    members: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    inference_size: int
    positive_weight: float = 1.0
    log_variance_bound: float = 10.0
    log_variance_bounding: Bounding = "clamp"
    calibration: PlattScaling = PlattScaling()
    threshold: float = 0.5
    threshold_rule: str = "one half"
    areas: AreaCalibration = AreaCalibration()
    untrained: tuple[str, ...] = ()
    # The arrays are part of a segmenter's fingerprint, this is not.
    novelty: NoveltyCalibration = dataclasses.field(default=NoveltyCalibration(), compare=False)
    # No map depends on these, so models that differ in them alone share what is compiled.
    loss: LossKind = dataclasses.field(default="attenuated", compare=False)
    trained_on: SeenPhotographs = dataclasses.field(default=SeenPhotographs(), compare=False)
    selected_on: SeenPhotographs = dataclasses.field(default=SeenPhotographs(), compare=False)
    calibrated_on: SeenPhotographs = dataclasses.field(default=SeenPhotographs(), compare=False)
    card: ModelCard = dataclasses.field(default=ModelCard(), compare=False)
    promise: Promise = dataclasses.field(default=Promise(), compare=False)
    format: int = FORMAT

    def __post_init__(self) -> None:
        variant_of(self.model)
        ranges = (
            ("members", 1 <= self.members <= _MOST_MEMBERS, f"at least 1 and at most {_MOST_MEMBERS}"),
            ("mean", all(map(is_finite, self.mean)), "finite numbers"),
            ("std", all(value > 0 and is_finite(value) for value in self.std), "positive numbers"),
            (
                "inference_size",
                COARSEST_CELL <= self.inference_size <= _LARGEST_SIZE,
                f"{COARSEST_CELL} to {_LARGEST_SIZE} pixels",
            ),
            ("positive_weight", self.positive_weight > 0 and is_finite(self.positive_weight), "a positive number"),
            (
                "log_variance_bound",
                self.log_variance_bound > 0 and is_finite(self.log_variance_bound),
                "a positive number",
            ),
            ("threshold", 0 <= self.threshold <= 1, "a probability from 0 to 1"),
        )
        for name, sound, expected in ranges:
            if not sound:
                raise InputError(
                    f"checkpoint.{name} is {shown(getattr(self, name))}, expected {expected}: give another"
                )

    @property
    def settings(self) -> dict[str, Any]:
        """What maps and masks depend on, as a dictionary."""
        values = to_dict(self)
        return {field.name: values[field.name] for field in dataclasses.fields(self) if field.compare}

    @property
    def uncalibrated(self) -> "CheckpointConfig":
        """With raw probabilities, the threshold at which the mask stays as it is, and no intervals of areas."""
        threshold = float(self.calibration.inverse(np.float64(self.threshold)))
        return dataclasses.replace(self, calibration=PlattScaling(), threshold=threshold, areas=AreaCalibration())


def save_model(folder: str | os.PathLike, variables: Variables, config: CheckpointConfig, step: int = 0) -> None:
    """Writes variables [members, ...] and configuration; an older step in `folder` goes only once this one is whole.

    Raises:
        InputError: where `folder` has this step already, or the weights of a model in half precision.
    """
    import orbax.checkpoint as ocp  # noqa: PLC0415 (not needed for the models of the package)

    if (Path(folder) / str(step)).exists() or (Path(folder) / WEIGHTS_NAME).exists():
        raise InputError(f"{folder} has a model already: give another folder, or remove it")
    write_config(folder, config)
    with model_manager(folder) as manager:
        manager.save(step, args=ocp.args.StandardSave(variables), force=True)


def save_safetensors(folder: str | os.PathLike, variables: Variables, config: CheckpointConfig) -> None:
    """Writes variables [members, ...] in half precision, and the configuration last: a model as the package brings it.

    Raises:
        InputError: where `folder` has a model already, or half precision does not hold a value.
    """
    if (Path(folder) / CONFIG_NAME).exists():
        raise InputError(f"{folder} has a model already: give another folder, or remove it")
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_variables(Path(folder) / WEIGHTS_NAME, variables, config.model)
    write_config(folder, config)


def write_config(folder: str | os.PathLike, config: CheckpointConfig) -> None:
    """Writes the configuration in one step, once however many processes call."""
    if jax.process_index() == 0:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG_NAME, json.dumps(to_dict(config), indent=2) + "\n")


def require_regular_files(folder: Path) -> None:
    """Raises an `InputError` for a pipe or a device in a folder of checkpoints: Orbax would wait for its contents."""
    if found := special_file(folder):
        raise InputError(
            f"{found} is a pipe or a device, no file: the checkpoint is damaged, remove it or give another"
        )


def model_manager(folder: str | os.PathLike, *, in_background: bool = False) -> Any:
    """Orbax's `CheckpointManager` of a folder with one model: `StandardSave` gives it variables [members, ...].

    Raises:
        InputError: where a pipe or a device is in the folder.
    """
    require_regular_files(Path(folder))
    import orbax.checkpoint as ocp  # noqa: PLC0415
    from etils import epath  # noqa: PLC0415

    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=in_background)
    handler = ocp.StandardCheckpointHandler()
    return ocp.CheckpointManager(epath.Path(os.path.abspath(folder)), options=options, item_handlers=handler)


def load_model(checkpoint: str | os.PathLike) -> tuple[Variables, CheckpointConfig]:
    """Variables [members, ...], float32, and configuration of a model given by name, folder or safetensors file.

    Whether the variables of an Orbax checkpoint are those of this very network shows where they are first used: to ask
    for their names and shapes takes as long as all of this.

    Raises:
        InputError: where there is no such model, or one that cannot be read.
    """
    place = locate(checkpoint)
    config = _read_config(place)
    variables = read_variables(place.weights, config.model) if place.weights else _restore(place.folder)
    _check_values(variables, config.members, place)
    return variables, config


def read_config(checkpoint: str | os.PathLike) -> CheckpointConfig:
    """The configuration alone, an `InputError` where there is no such model."""
    return _read_config(locate(checkpoint))


def write_known_features(folder: str | os.PathLike, known: KnownFeatures) -> None:
    """Writes what novelty is measured from, whole or not at all; the configuration names the file."""
    with atomic_file(Path(folder) / NOVELTY_NAME) as partial:
        partial.write_bytes(save(known.tensors()))


def read_known_features(checkpoint: str | os.PathLike, config: CheckpointConfig) -> KnownFeatures | None:
    """What a model's novelty is measured from; None where it has none.

    Raises:
        InputError: where the file that the configuration names is missing or damaged.
    """
    if not config.novelty.file:
        return None
    path = locate(checkpoint).folder / NOVELTY_NAME
    if config.novelty.file != NOVELTY_NAME:
        raise InputError(f"checkpoint.novelty.file is {shown(config.novelty.file)}: its name is {NOVELTY_NAME}")
    if not path.is_file():
        raise InputError(f"{path} is missing, which {CONFIG_NAME} beside it names: get the model again")
    try:
        return from_tensors(read_tensors(path).tensors)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): get the model again") from error


def _read_config(place: Location) -> CheckpointConfig:
    return read_config_file(CheckpointConfig, place.folder / CONFIG_NAME, what="checkpoint", version=FORMAT)


def _restore(folder: Path) -> Variables:
    """Variables of an Orbax checkpoint, on the first device."""
    import orbax.checkpoint as ocp  # noqa: PLC0415

    try:
        with quiet_reads(), model_manager(folder) as manager:
            step = manager.latest_step()
            if step is None:
                raise InputError(
                    f"{folder} has a {CONFIG_NAME} but no Orbax checkpoint and no {WEIGHTS_NAME}: give another "
                    f"folder, or train again"
                )
            template = _template(manager.item_metadata(step).tree)
            return manager.restore(step, args=ocp.args.StandardRestore(template))
    except InputError:
        raise
    except Exception as error:  # of damaged files Orbax and TensorStore raise nearly anything
        raise InputError(
            f"checkpoint {folder} is damaged and cannot be restored ({reason(error)}): give another"
        ) from error


def _template(metadata: PyTree) -> Variables:
    """Shapes and placement of the variables: all on the first device, whatever wrote them."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=sharding), metadata)


def _check_values(variables: Variables, members: int, place: Location) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        name = "/".join(str(entry.key) for entry in path)
        if leaf.shape[:1] != (members,):
            raise InputError(
                f"{place.folder / CONFIG_NAME} says {members} members, but {name} of {place} has shape "
                f"{list(leaf.shape)}: give another checkpoint"
            )
        if not np.isfinite(np.asarray(leaf)).all():
            raise InputError(f"{place} has values in {name} that are not finite: the model is damaged, give another")
