"""Every setting of a training run as typed, frozen data classes, and their strict reading from dictionaries.

The defaults are the paper's; `configs/` holds the experiments that differ from them.
"""

import dataclasses
import difflib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal

from ml_collections import ConfigDict

from spotrust_jax.errors import InputError
from spotrust_jax.models.segmenter import LAST_LAYER, ModelConfig
from spotrust_jax.ranges import LARGEST_WHOLE, Count, NotNegative, Positive, Probability, Range, Ranged, Several, shown
from spotrust_jax.recipe import FineTuningConfig, LossConfig, Metric, OptimizerConfig, PlateauConfig, ScheduleConfig

# Three numbers, or none of them where the data set's own are meant.
Channels = tuple[float, float, float] | tuple[()]
Mean = Annotated[Channels, Range(0, 1, what="three numbers")]
Std = Annotated[Channels, Range(0, 1, above=True, what="three numbers")]

# Those of members lie a million apart, and all are of 32 bits.
Seed = Annotated[int, Range(0, LARGEST_WHOLE, what="a whole number")]


@dataclasses.dataclass(frozen=True)
class DataConfig(Ranged, section="data"):
    """Where the labelled photographs come from, and how they reach the network."""

    # "folder": photographs under `path`; "scenes": the embedded synthetic scenes.
    source: Literal["folder", "scenes"] = "folder"
    # A folder with images/, masks/ and, optionally, splits.csv, or one that launch.prepare_data wrote for tfds.
    path: str = ""
    # Number of the fold that validates while the others train; -1 where the data set is not divided into folds.
    fold: Annotated[int, Range(-1, LARGEST_WHOLE, what="a whole number")] = -1
    # Whether member m of an ensemble validates on fold m and trains on all others: cross-validation as an ensemble.
    fold_of_member: bool = False
    # Long side in pixels at which photographs are seen in training, validation and prediction, in their own proportions
    # (data/sizes.py). A multiple of 32, or it is taken for the nearest one.
    image_size: Annotated[int, Range(32, 8192, what="pixels")] = 640
    # Photographs of a site (a column of splits.csv) that has n of them are drawn in proportion to n ** site_power: 1
    # draws every photograph equally often, 0 every site.
    site_power: Annotated[float, Range(0, 1)] = 1.0
    # Which scenes: the demo's small ones, or those that look like surveys of steel structures.
    scenes_version: Literal["demo-1", "survey-1"] = "demo-1"
    # Numbers of scenes in the training and the validation split.
    scenes: Annotated[tuple[int, int], Range(1, what="whole numbers")] = (256, 64)
    # Channel statistics that images in [0, 1] are normalised by; () takes those of the training split. (The paper's
    # photographs have 0.5993, 0.5458, 0.5339 and 0.1923, 0.2072, 0.2216.)
    mean: Mean = ()
    std: Std = ()
    # Processes that read training batches ahead; 0 leaves it to threads. The batches do not depend on it.
    num_workers: Several = 0


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(Ranged, section="augmentation"):
    """Random changes to training images; each applies to the mask as well where it moves pixels."""

    # (height, width) that crops are resized to.
    crop_size: Annotated[tuple[int, int], Range(32, 8192, what="pixels")] = (480, 480)
    # Range of the crop's share of the photograph's area, and of its aspect ratio as a multiple of crop_size's: by so
    # much it is stretched. Where such a crop does not fit into the photograph, it shrinks as a whole.
    scale: Annotated[tuple[float, float], Range(0, 1, above=True, rising=True)] = (0.5, 1.0)
    ratio: Annotated[tuple[float, float], Range(0, above=True, rising=True)] = (0.75, 4 / 3)
    # Probability of each of the two flips, and of a turn by 90, 180 or 270 degrees (by 180 if the crop is not square).
    flip: Probability = 0.5
    turns: Probability = 0.0
    # Largest relative change of brightness, contrast and saturation, and largest turn of the hue circle.
    brightness: Annotated[float, Range(0, 1)] = 0.3
    contrast: Annotated[float, Range(0, 1)] = 0.3
    saturation: Annotated[float, Range(0, 1)] = 0.2
    hue: Annotated[float, Range(0, 0.5)] = 0.05
    # Probability of losing all colour, and of a Gaussian blur with a standard deviation in a range of pixels.
    greyscale: Probability = 0.1
    blur: Probability = 0.3
    blur_sigma: Annotated[tuple[float, float], Range(0, 32, above=True, rising=True)] = (0.1, 2.0)


@dataclasses.dataclass(frozen=True)
class RunConfig(Ranged, section="run"):
    """What a run keeps and shows on its way; none of it changes the weights."""

    # Steps after which the state is saved within an epoch as well; 0 saves at the end of epochs only.
    checkpoint_steps: Several = 500
    # Epochs after which the state is saved; 0 saves at the end alone, where it always is.
    save_epochs: Several = 1
    # Epochs after which the model is kept for good as WORKDIR/epoch_NUMBER, beside the best; 0 for none.
    keep_epochs: Several = 0
    # Epochs after which TensorBoard gets pictures of validation photographs with their maps; 0 for none.
    panel_epochs: Several = 5


@dataclasses.dataclass(frozen=True)
class TrainConfig(Ranged):
    """One experiment."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    plateau: PlateauConfig = PlateauConfig()
    fine_tuning: FineTuningConfig = FineTuningConfig()
    run: RunConfig = RunConfig()
    # Networks trained from different initialisations; more than one make an ensemble.
    members: Annotated[int, Range(1, 1000, what="a whole number")] = 1
    # Examples of one step, over all devices, for each member.
    batch_size: Count = 4
    # Pieces that each device's share of a batch goes through the network in, one after the other, to save memory.
    accumulation: Count = 1
    epochs: Count = 200
    # Epochs after which the networks are validated; 0 for the last one alone. Only "cosine" does without.
    validation_epochs: Several = 1
    # Score of the validation split by which each member's best model is chosen; of equals the later one is.
    best_metric: Metric = "average_precision"
    # Stochastic passes for each validation image.
    validation_samples: Count = 4
    seed: Seed = 0
    # Compute residual blocks again in the backward pass: less memory, more time.
    rematerialize: bool = False
    # Batch norm by the running statistics, which stay as they are: for batches of one image.
    frozen_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.variant in LAST_LAYER:
            raise InputError(
                f"model.variant {self.model.variant!r} is not trained: train a deterministic network, then fit its "
                f"last layer with launch.last_layer"
            )
        if self.schedule.kind == "plateau" and self.validation_epochs != 1:
            raise InputError(
                f"validation_epochs is {self.validation_epochs}, but the plateau rule needs every epoch's score: leave "
                f"it at 1, or set schedule.kind to cosine"
            )
        if self.schedule.kind == "cosine" and self.schedule.warmup_epochs >= self.epochs:
            raise InputError(
                f"schedule.warmup_epochs is {self.schedule.warmup_epochs:g} of {self.epochs} epochs: leave some for "
                f"the cosine"
            )


@dataclasses.dataclass(frozen=True)
class UnlabelledConfig(Ranged, section="data"):
    """Photographs without labels, and how they are kept."""

    # Folder of photographs at any depth, or several separated by commas; of data sets with images/ and splits.csv only
    # what trains is taken.
    path: str = ""
    # Synthetic survey scenes beside them.
    scenes: Several = 0
    # Photographs with a longer side, in pixels, are made smaller when they are read.
    long_side: Annotated[int, Range(32, 8192, what="pixels")] = 512
    # Share of the photographs that is never trained on, on which the loss is measured.
    held_out: Annotated[float, Range(0, 1, above=True, below=True)] = 0.05
    # Channel statistics that images in [0, 1] are normalised by; () takes those of the photographs.
    mean: Mean = ()
    std: Std = ()


@dataclasses.dataclass(frozen=True)
class PretrainConfig(Ranged):
    """Distillation of a teacher's features into the backbone, on photographs without labels."""

    # Only the backbone is trained; the other parts are in the checkpoint with their random values.
    model: ModelConfig = ModelConfig("deterministic", "w18_small_v2")
    data: UnlabelledConfig = UnlabelledConfig()
    # Crops keep their proportions and show from a tenth of a photograph up to as much of it as they can.
    augmentation: AugmentationConfig = AugmentationConfig((256, 256), scale=(0.1, 1.0), ratio=(1.0, 1.0))
    # File that `spotrust pretrain --save_teacher` wrote; "" takes the weights of the installed package.
    teacher: str = ""
    # Crops of one step, over all devices.
    batch_size: Count = 64
    steps: Count = 3000
    # AdamW: highest rate, steps in which it is reached, from which it falls to 0 in half a cosine, and weight decay.
    learning_rate: Positive = 2e-3
    warmup_steps: Several = 100
    weight_decay: NotNegative = 0.05
    # Steps after which the held-out loss is measured and the state is saved.
    evaluation_steps: Count = 250
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.warmup_steps < self.steps:
            raise InputError(f"warmup_steps is {self.warmup_steps} of {self.steps} steps: leave some for the cosine")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a configuration."""
    return dataclasses.asdict(config)


def from_dict(kind: type, values: Mapping[str, Any], where: str = "config") -> Any:
    """The data class `kind` from a nested dictionary; lists become tuples, missing fields keep their defaults.

    Raises:
        InputError: for a field that does not exist (naming the nearest), or a value of another type.
    """
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise InputError(f"{where}.{name} does not exist{_nearest(name, list(hints))}")
    for field in dataclasses.fields(kind):
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}.{field.name} is missing: give a value")
    return kind(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def read_config_file(kind: type, path: Path, *, what: str, version: int) -> Any:
    """The data class `kind` from a JSON file that belongs to a `what`, and whose field `format` says `version`.

    Raises:
        InputError: where the file cannot be read, is of another version, or has a field that `kind` does not allow.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): the {what} is damaged, give another") from error
    if not isinstance(values, dict) or values.get("format") != version:
        raise InputError(f"{path} is not of {what} format {version}: use the version of this program that wrote it")
    try:
        return from_dict(kind, values, what)
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def require_field(kind: type, path: str) -> None:
    """Raises an `InputError` that names the nearest field unless `path`, such as "config.model.preset", is a field."""
    where, *names = path.split(".")
    for name in names:
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        # An index into a tuple, as in augmentation.crop_size[0], is checked where it is set.
        name, index, _ = name.partition("[")
        if name not in hints:
            raise InputError(f"{where}.{name} does not exist{_nearest(name, list(hints))}")
        if index and isinstance(hints[name], UnionType):
            raise InputError(f"{where}.{name} has no single values to set: give all, --{where}.{name}='(R, G, B)'")
        kind, where = hints[name], f"{where}.{name}"


def _nearest(name: str, names: list[str]) -> str:
    """Ending of a sentence that says which name was probably meant."""
    close = difflib.get_close_matches(name, names, n=1)
    if close or not names:
        return f": did you mean {close[0]}?" if close else ""
    return f": choose one of {', '.join(names)}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`, or an error."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {shown(value)}: give a section of fields")
        return from_dict(hint, value, where)
    if isinstance(hint, UnionType):  # Channels
        given, _ = typing.get_args(hint)
        return () if value in ((), []) else _convert(given, value, where)
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            raise InputError(f"{where} is {shown(value)}: choose one of {', '.join(map(repr, typing.get_args(hint)))}")
        return value
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where} is {shown(value)}: give a number that is not as large") from None
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where} is {shown(value)}: give a value of type {hint.__name__}")
    return value


def _convert_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where} is {shown(value)}: give a list")
        kinds = kinds[:1] * len(value)
    if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
        raise InputError(f"{where} is {shown(value)}: give {len(kinds)} values")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def paper_config() -> ConfigDict:
    """All defaults as a `ConfigDict`, for a config file to change and for `--config.a.b=value` to override."""
    return ConfigDict(to_dict(TrainConfig()))
