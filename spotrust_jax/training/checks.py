"""What is checked before a run: that settings go together, and that devices, data, memory and start suit them.

The range of each single setting is checked when a configuration is made, by `fields.py`.
"""

from collections.abc import Sequence

from spotrust_jax.checkpoints import CheckpointConfig, read_config
from spotrust_jax.config import ModelConfig, PretrainConfig, TrainConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.errors import InputError
from spotrust_jax.io.display import size_in_words
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.variants.registry import variant_of
from spotrust_jax.parallel import Placement
from spotrust_jax.training.memory import available_bytes, memory_remedy
from spotrust_jax.typing import Device

# Parts of the network that fine-tuning takes only where asked, by the top of the parameter tree, and what they are.
OPTIONAL_PARTS = {"head": "a head for corrosion", "bayesian": "Bayesian layers", "aleatoric": "an aleatoric network"}


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


def check_labels(data: Sequence[tuple[Dataset, Dataset]]) -> None:
    """Raises an `InputError` for a split that is empty, or shows only corrosion or none of it.

    `data` has the training and the validation split of each member.
    """
    for split, datasets in zip(("training", "validation"), zip(*data, strict=True), strict=True):
        # Members mostly share theirs.
        for dataset in {id(dataset): dataset for dataset in datasets}.values():
            _check_classes(dataset, split)


def check_start(config: TrainConfig) -> CheckpointConfig | None:
    """The configuration of the checkpoint that training is to start from, None where it starts from random weights.

    Raises:
        InputError: where there is no such checkpoint, or it lacks what is to be taken from it.
    """
    if not config.fine_tuning.checkpoint:
        return None
    start = read_config(config.fine_tuning.checkpoint)
    _check_backbone(config, start.model)
    _check_parts(config, start)
    _check_members(config, start.members)
    return start


def check_memory(needed: int | None, config: TrainConfig, devices: Sequence[Device]) -> None:
    """Compares the bytes that a step needs, if they are known, with what each of these devices has left.

    Raises:
        InputError: where it does not fit: how much is needed, and what to turn.
    """
    if needed is None:
        return
    available = available_bytes(devices)
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


def _check_backbone(config: TrainConfig, start: ModelConfig) -> None:
    def describe(model: ModelConfig) -> str:
        return f"{model.preset} of width {architecture(model.preset, width=model.width).width}"

    if architecture(start.preset, width=start.width) != architecture(config.model.preset, width=config.model.width):
        raise InputError(
            f"{config.fine_tuning.checkpoint} is a {describe(start)} and config.model a {describe(config.model)}: give "
            f"a checkpoint of the same preset and width, or set config.model.preset and width to the checkpoint's"
        )


def _check_parts(config: TrainConfig, start: CheckpointConfig) -> None:
    checkpoint, asked = config.fine_tuning.checkpoint, _asked_parts(config)
    there = {"head", "aleatoric", *variant_of(start.model).part_names} - set(start.untrained)
    for name in sorted(asked.keys() - there):
        raise InputError(
            f"config.fine_tuning.{asked[name]}, but {checkpoint} comes from weights without {OPTIONAL_PARTS[name]}: "
            f"leave it at its default, or give a checkpoint that has them"
        )
    own = {"head", "aleatoric", *variant_of(config.model).part_names}
    for name in sorted(asked.keys() - own):
        raise InputError(
            f"config.fine_tuning.{asked[name]}, but config.model.variant is {config.model.variant!r}, which does not "
            f"have {OPTIONAL_PARTS[name]}: leave it at its default"
        )
    if "head" in asked and start.model.final_kernel != config.model.final_kernel:
        raise InputError(
            f"config.fine_tuning.head=True, but {checkpoint} has a head of final_kernel {start.model.final_kernel} and "
            f"config.model one of {config.model.final_kernel}: set config.model.final_kernel to the checkpoint's"
        )


def _asked_parts(config: TrainConfig) -> dict[str, str]:
    """Parts that the checkpoint must have beside the backbone, each with the field that asks for it."""
    asked = {name: f"{name}=True" for name in OPTIONAL_PARTS if getattr(config.fine_tuning, name)}
    return {**asked, "bayesian": "prior=checkpoint"} if config.fine_tuning.prior == "checkpoint" else asked


def _check_members(config: TrainConfig, members: int) -> None:
    checkpoint = config.fine_tuning.checkpoint
    if members not in (1, config.members):
        raise InputError(
            f"{checkpoint} has {members} members and config.members is {config.members}: give a checkpoint of one "
            f"member, from which all start, or of as many as config.members"
        )
    if members < config.members and config.fine_tuning.head:
        raise InputError(
            f"config.fine_tuning.head=True with {config.members} members, and {checkpoint} has one: members that start "
            f"alike hardly come to differ; leave the head at its default"
        )
