"""The data set that a configuration names, whichever kind it is."""

from spotrust_jax.config import DataConfig
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.folder import FolderDataset
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.errors import InputError


def open_dataset(config: DataConfig, split: str) -> Dataset:
    """The split of the configured data set: "train" or "validation" (folders may have "test" too)."""
    if config.source == "scenes":
        return SceneDataset(DEMO_SCENES, split, config.scenes[0] if split == "train" else config.scenes[1])
    if not config.path:
        raise InputError("config.data.path is empty: give the folder of your data set, --config.data.path=DIR")
    return FolderDataset(config.path, split)
