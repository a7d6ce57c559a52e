"""Trained models on disk: an Orbax checkpoint of the variables with `config.json` beside it.

The state of a run in progress (optimiser, schedules) is `training/run_state.py`'s business.
"""

import dataclasses
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree

from spotrust_jax.affine_calibration import AffineCalibration
from spotrust_jax.config import from_dict, to_dict
from spotrust_jax.errors import InputError
from spotrust_jax.losses import Bounding
from spotrust_jax.models.segmenter import ModelConfig, Variables
from spotrust_jax.whole_files import write_text

FORMAT = 1
CONFIG_NAME = "config.json"


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """What must be known to use a model's variables.

    Attributes:
        model: the network.
        members: networks whose variables are stacked on the leading axis; more than one are an ensemble.
        mean, deviation: channel statistics that images in [0, 1] are normalised by.
        inference_size: long side, in pixels, that the model was trained at.
        positive_weight: weight of corroded pixels in training, which raised the logits by its logarithm.
        log_variance_bound, log_variance_bounding: range that training kept the log variance in, and how.
        calibration: what makes frequencies of the mean probabilities of passes.
        threshold: (calibrated) probability from which a pixel counts as corrosion.
        threshold_rule: in words, what the threshold was chosen by.
        untrained: parts of the network ("head", "bayesian", "aleatoric") that still have their random initial value.
        format: version of this layout.
    """

    model: ModelConfig
    members: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    inference_size: int
    positive_weight: float = 1.0
    log_variance_bound: float = 10.0
    log_variance_bounding: Bounding = "clamp"
    calibration: AffineCalibration = AffineCalibration()
    threshold: float = 0.5
    threshold_rule: str = "one half"
    untrained: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def uncalibrated(self) -> "CheckpointConfig":
        """With raw probabilities, and the threshold at which the mask stays as it is."""
        threshold = float(self.calibration.inverse(np.float64(self.threshold)))
        return dataclasses.replace(self, calibration=AffineCalibration(), threshold=threshold)

    @property
    def map_names(self) -> tuple[str, ...]:
        """The maps that the model gives; members and passes share the epistemic variance where there are both."""
        names = ("probability", "epistemic", "log_variance")
        return (*names, "between_members") if self.members > 1 and self.model.stochastic else names


def save_model(folder: str | os.PathLike, variables: Variables, config: CheckpointConfig, step: int = 0) -> None:
    """Writes variables [members, ...] and configuration; an older step in `folder` goes only once this one is whole.

    Raises:
        InputError: where `folder` has this step already.
    """
    if (Path(folder) / str(step)).exists():
        raise InputError(f"{folder} has a model already: give another folder, or remove it")
    write_config(folder, config)
    with model_manager(folder) as manager:
        manager.save(step, args=ocp.args.StandardSave(variables), force=True)


def write_config(folder: str | os.PathLike, config: CheckpointConfig) -> None:
    """Writes the configuration in one step, once however many processes call."""
    if jax.process_index() == 0:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG_NAME, json.dumps(to_dict(config), indent=2) + "\n")


def model_manager(folder: str | os.PathLike, *, in_background: bool = False) -> ocp.CheckpointManager:
    """Orbax's manager of a folder with one model, to which `StandardSave` gives variables [members, ...]."""
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=in_background)
    handler = ocp.StandardCheckpointHandler()
    return ocp.CheckpointManager(epath.Path(folder).resolve(), options=options, item_handlers=handler)


def load_model(folder: str | os.PathLike) -> tuple[Variables, CheckpointConfig]:
    """Variables [members, ...] and configuration that `save_model` wrote.

    Whether they are the variables of this very network shows where it is first used: to ask for their names and shapes
    takes as long as all of this.

    Raises:
        InputError: where there is no such checkpoint, or one that cannot be read.
    """
    folder = Path(folder).resolve()
    config = read_config(folder)
    with model_manager(folder) as manager:
        step = manager.latest_step()
        if step is None:
            raise InputError(
                f"{folder} has a {CONFIG_NAME} but no Orbax checkpoint: give another folder, or train again"
            )
        try:
            template = _template(manager.item_metadata(step).tree)
            variables = manager.restore(step, args=ocp.args.StandardRestore(template))
        except (ValueError, KeyError, FileNotFoundError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"checkpoint {folder} cannot be restored, give another ({reason})") from error
    found = {leaf.shape[0] for leaf in jax.tree.leaves(variables)}
    if found != {config.members}:
        raise InputError(
            f"{folder / CONFIG_NAME} says {config.members} members, its checkpoint has others: give another"
        )
    return variables, config


def read_config(folder: str | os.PathLike) -> CheckpointConfig:
    """The configuration alone, an `InputError` where `folder` is no checkpoint."""
    folder = Path(folder).resolve()
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"{folder} is not a checkpoint: it has no {CONFIG_NAME}; give a folder such as RUN/best")
    try:
        values = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error}): the checkpoint is damaged") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{path} is not of checkpoint format {FORMAT}: use the version of this program that wrote it")
    return from_dict(CheckpointConfig, values, "checkpoint")


def _template(metadata: PyTree) -> Variables:
    """Shapes and placement of the variables: all on the first device, whatever wrote them."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=sharding), metadata)
