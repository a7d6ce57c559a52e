"""What is checked before a run: that settings go together, and that devices, data and memory suffice for them.

The range of each single setting is checked when a configuration is made, by `fields.py`.
"""

from collections.abc import Sequence

from spotrust_jax.config import PretrainConfig, TrainConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError
from spotrust_jax.io.display import size_in_words
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.parallel import Placement
from spotrust_jax.training.input_pipeline import MemberData
from spotrust_jax.training.memory import available_bytes, memory_remedy
from spotrust_jax.typing import Device


def check_training(config: TrainConfig, placement: Placement) -> None:
    """Raises an `InputError` where settings contradict each other, or devices cannot split a batch as they say."""
    _check_model(config)
    _check_schedule(config)
    _check_fine_tuning(config)
    _check_shares(config.batch_size, placement)
    check_pieces(config, placement)


def check_pretraining(config: PretrainConfig, placement: Placement) -> None:
    """Raises an `InputError` where settings contradict each other, or devices cannot split a batch as they say."""
    variant_of(config.model)
    crop = config.augmentation.crop_size
    if config.warmup_steps >= config.steps:
        raise InputError(f"warmup_steps is {config.warmup_steps} of {config.steps} steps: leave some for the cosine")
    if any(side % COARSEST_CELL for side in crop):
        raise InputError(f"config.augmentation.crop_size is {crop}: give multiples of {COARSEST_CELL} pixels")
    _check_shares(config.batch_size, placement)


def check_labels(data: Sequence[MemberData]) -> None:
    """Raises an `InputError` for a split that is empty, or shows only corrosion or none of it."""
    for split, datasets in zip(("training", "validation"), zip(*data, strict=True), strict=True):
        # Members mostly share theirs.
        for dataset in {id(dataset): dataset for dataset in datasets}.values():
            _check_classes(dataset, split)


def check_memory(needed: int | None, config: TrainConfig, devices: Sequence[Device]) -> None:
    """Compares the bytes that a step needs, if they are known, with what each of these devices has left.

    Raises:
        InputError: where it does not fit: how much is needed, and what to turn.
    """
    available = None if needed is None else available_bytes(devices)
    if available is not None and needed > available:
        sizes = f"needs {size_in_words(needed)} on each device, which has {size_in_words(available)} left"
        raise InputError(f"a training step {sizes}: {memory_remedy(config)}")


def check_pieces(config: TrainConfig, placement: Placement) -> None:
    """Raises an `InputError` unless each device's share of the batch divides into `config.accumulation` pieces."""
    share = placement.round_up(config.batch_size) // placement.replicas
    if share % config.accumulation:
        raise InputError(
            f"config.accumulation is {config.accumulation}, but each device's share of a batch has {share} examples, "
            f"which do not divide into as many pieces: choose a divisor, or another config.batch_size"
        )


def _check_shares(batch_size: int, placement: Placement) -> None:
    whole = placement.round_up(batch_size)
    if whole != batch_size:
        raise InputError(
            f"config.batch_size is {batch_size}, which {placement.replicas} devices cannot split evenly: give {whole}, "
            f"or use fewer devices"
        )


def _check_model(config: TrainConfig) -> None:
    if variant_of(config.model).post_hoc:
        raise InputError(
            f"model.variant {config.model.variant!r} is not trained: train a deterministic network, then fit its last "
            f"layer with spotrust last_layer"
        )


def _check_schedule(config: TrainConfig) -> None:
    if config.schedule.kind == "plateau" and config.validation_epochs != 1:
        raise InputError(
            f"validation_epochs is {config.validation_epochs}, but the plateau rule needs every epoch's score: leave "
            f"it at 1, or set schedule.kind to cosine"
        )
    if config.schedule.kind == "cosine" and config.schedule.warmup_epochs >= config.epochs:
        raise InputError(
            f"schedule.warmup_epochs is {config.schedule.warmup_epochs:g} of {config.epochs} epochs: leave some for "
            f"the cosine"
        )


def _check_fine_tuning(config: TrainConfig) -> None:
    """Nothing is asked of a checkpoint that is not named."""
    settings = config.fine_tuning
    asked = [name for name in ("head", "bayesian", "aleatoric", "freeze_epochs") if getattr(settings, name)]
    asked += ["prior"] if settings.prior == "checkpoint" else []
    if asked and not settings.checkpoint:
        raise InputError(f"fine_tuning.{asked[0]} is set and fine_tuning.checkpoint is empty: give its folder")


def _check_classes(dataset: Dataset, split: str) -> None:
    """Both classes must be there; a photograph or two are enough to see it in a sound data set."""
    if len(dataset) == 0:
        raise InputError(f"the {split} split has no photographs: add some to it")
    corroded = background = False
    for example in dataset:
        corroded = corroded or (example.mask & example.scored).any()
        background = background or (~example.mask & example.scored).any()
        if corroded and background:
            return
    what = "nothing but corrosion" if corroded else "no corrosion"
    raise InputError(
        f"the masks of the {split} split show {what}: check that corrosion is 255 and background 0, or add photographs"
    )
