"""The data set that a path or a configuration names, whichever kind it is, and the statistics of its channels."""

from pathlib import Path

from spotrust_jax.config import DataConfig
from spotrust_jax.data.card import ChannelStatistics, channel_statistics, read_card
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.data.splits import NO_FOLD
from spotrust_jax.data.tfds_dataset import TfdsDataset, find_tfds, read_tfds_card
from spotrust_jax.errors import InputError


def open_path(path: str | Path, split: str, fold: int = NO_FOLD) -> Dataset:
    """The split of the photographs in a folder of images and masks or in a tfds data set, whichever it is.

    `split` is one of the data set's, "all", or "train" or "validation" of the fold that validates.
    """
    if _tfds_folder(Path(path)):
        return TfdsDataset(path, split, fold)
    return FolderDataset(path, split, fold)


def open_dataset(config: DataConfig, split: str) -> Dataset:
    """The split of the configured data set: "train" or "validation", or another one that it has."""
    if config.source == "scenes":
        return _scenes(config, split)
    if not config.path:
        raise InputError("config.data.path is empty: give the folder of your data set, --config.data.path=DIR")
    return open_path(config.path, split, config.fold)


def training_statistics(config: DataConfig, training: Dataset) -> ChannelStatistics:
    """Channel statistics of the training split: from the data set's card, else from one pass over the photographs.

    Raises:
        InputError: where a channel is the same everywhere, so that nothing can be divided by its standard deviation.
    """
    statistics = _kept_statistics(config) or channel_statistics(training)
    if min(statistics.std) <= 0:
        raise InputError(
            f"a channel of the training photographs is the same everywhere (standard deviation {statistics.std}): "
            f"check them, or give config.data.std"
        )
    return statistics


def _kept_statistics(config: DataConfig) -> ChannelStatistics | None:
    """Those on the card, unless they are not those of the photographs that train: folds each have their own."""
    if config.source == "scenes" or config.fold != NO_FOLD:
        return None
    path = Path(config.path)
    tfds = _tfds_folder(path)
    card = read_card(path) if tfds is None else read_tfds_card(tfds)
    return card.statistics if card else None


def _tfds_folder(path: Path) -> Path | None:
    return None if (path / "images").is_dir() else find_tfds(path)


def _scenes(config: DataConfig, split: str) -> Dataset:
    if config.fold != NO_FOLD:
        raise InputError(f"config.data.fold is {config.fold}, but scenes have no folds: leave folds out")
    count = config.scenes[0] if split == "train" else config.scenes[1]
    if config.scenes_version == "demo-1":
        return SceneDataset(DEMO_SCENES, split, count)
    from spotrust_jax.data.synthetic import SurveySceneDataset  # noqa: PLC0415 (the demo does without)

    return SurveySceneDataset(split, count, config.image_size)
