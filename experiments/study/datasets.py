"""What the study trains and measures on: which photographs play which part."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from spotrust_jax.data.datasets import open_path
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.inference.preprocessing import Images

SIZE = 128
"""Long side in pixels at which everything is trained and analysed."""

# Scenes of each part.
_VALIDATION, _TEST, _OTHER = 128, 128, 64


class Unlabelled:
    """The images of a data set, whatever its labels."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[tuple[str, UInt8[np.ndarray, "height width 3"]]]:
        return ((example.name, example.image) for example in self._dataset)


class Parts(NamedTuple):
    """A data set of the study.

    Attributes:
        name: of its folder and in the tables.
        settings: fields of the training's configuration, by dotted names.
        train, validation, test: what networks learn from, are calibrated on, and are measured on.
        hard_negatives: nothing in them is corroded, though it looks like it; None where there are none.
        out_of_distribution: by name, photographs out of distribution.
        out_of_distribution_validation: others, on which the score that detects them is chosen.
    """

    name: str
    settings: dict[str, Any]
    train: Dataset
    validation: Dataset
    test: Dataset
    hard_negatives: Dataset | None
    out_of_distribution: dict[str, Images | Unlabelled]
    out_of_distribution_validation: Unlabelled


def scene_parts(photographs: str | None) -> Parts:
    """The embedded scenes; clean ones as hard negatives; scenes without steel and photographs out of distribution."""
    clean = dataclasses.replace(DEMO_SCENES, clean_share=1.0)
    return Parts(
        "scenes",
        {},
        SceneDataset(DEMO_SCENES, "train", 512),
        SceneDataset(DEMO_SCENES, "validation", _VALIDATION),
        SceneDataset(DEMO_SCENES, "test", _TEST),
        SceneDataset(clean, "test", _OTHER),
        _out_of_distribution(photographs),
        Unlabelled(SurveySceneDataset("out_of_distribution_validation", _OTHER, SIZE)),
    )


def survey_parts(photographs: str | None) -> Parts:
    """The survey scenes, which show much that the embedded ones do not."""
    return Parts(
        "survey",
        {"data.scenes_version": "survey-1"},
        SurveySceneDataset("train", 512, SIZE),
        SurveySceneDataset("validation", _VALIDATION, SIZE),
        SurveySceneDataset("test", _TEST, SIZE),
        None,
        _out_of_distribution(photographs),
        Unlabelled(SurveySceneDataset("out_of_distribution_validation", _OTHER, SIZE)),
    )


def photograph_parts(data: Path, photographs: str | None) -> Parts:
    """Labelled photographs."""
    settings = {
        "data.source": "folder",
        "data.path": str(data),
        "loss.positive_weight": 4.0,
        # Few photographs: half as many steps as on scenes take more epochs.
        "epochs": 48,
        "schedule.warmup_epochs": 3.0,
        "run.panel_epochs": 0,
        # An epoch is five steps, which take no longer than to save.
        "run.save_epochs": 10,
        "run.checkpoint_steps": 0,
        "augmentation.scale": (0.5, 1.0),
        "augmentation.brightness": 0.3,
        "augmentation.contrast": 0.3,
        "augmentation.greyscale": 0.1,
        "augmentation.blur": 0.3,
    }
    parts = [open_path(data, split) for split in ("train", "validation", "test")]
    other = Unlabelled(SurveySceneDataset("out_of_distribution_validation", _OTHER, SIZE))
    return Parts("photographs", settings, *parts, None, _out_of_distribution(photographs), other)


def _out_of_distribution(photographs: str | None) -> dict[str, Images | Unlabelled]:
    scenes = {"scenes without steel": Unlabelled(SurveySceneDataset("out_of_distribution_test", _OTHER, SIZE))}
    return scenes if photographs is None else {**scenes, "other photographs": Images(photographs)}
