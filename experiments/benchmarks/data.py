"""How fast examples come: photographs through reading, resizing and augmentation, and synthetic scenes."""

import csv
import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
from PIL import Image

from experiments.benchmarks.measurement import Measurement, rate, throughput
from spotrust_jax.config import AugmentationConfig
from spotrust_jax.data.augmentation import augment
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.folder_dataset import FolderDataset
from spotrust_jax.data.pipeline import training_batches
from spotrust_jax.data.resized import ResizedDataset
from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
from spotrust_jax.data.sizes import largest_shape, training_shape
from spotrust_jax.data.synthetic import SurveySceneDataset

_SIZES = (128, 256, 512)
# Side in pixels and number of the photographs that are read.
_SIDE, _PHOTOGRAPHS = 640, 12
_BATCH = 8
# More batches than the pipeline keeps ready, so that what is measured is how fast they come.
_WARM_UP, _MEASURED = 12, 8


def input_pipeline() -> list[Measurement]:
    """Images a second from JPEG files of 640 x 640 pixels to augmented batches on the device, at several sizes."""
    with tempfile.TemporaryDirectory() as folder:
        _write_photographs(Path(folder))
        dataset = FolderDataset(folder, "train")
        return [measurement for size in _SIZES for measurement in _pipeline_at(dataset, size)]


def scenes() -> list[Measurement]:
    """Scenes a second in one thread, the demo's and survey scenes of several sizes; and these in two processes."""
    demo = SceneDataset(DEMO_SCENES, "train", 64)
    surveys = [(size, SurveySceneDataset("train", 64, size)) for size in _SIZES]
    named = [(f"demo scenes, {DEMO_SCENES.size} x {DEMO_SCENES.size}", demo)]
    named += [(f"survey scenes, {size} x {size}", survey) for size, survey in surveys]
    in_one = [measurement for name, dataset in named for measurement in _drawing(name, dataset)]
    return in_one + [_drawing_in_two(size) for size in _SIZES]


def _write_photographs(folder: Path) -> None:
    """A data set on disk, all for training: scenes as JPEG, their masks as PNG."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    drawn = SceneDataset(dataclasses.replace(DEMO_SCENES, size=_SIDE), "train", _PHOTOGRAPHS)
    for example in drawn:
        Image.fromarray(example.image).save(folder / "images" / f"{example.name}.jpg", quality=90)
        Image.fromarray(example.mask).convert("L").save(folder / "masks" / f"{example.name}.png")
    with (folder / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "split"), *((name, "train") for name in drawn.names)])


def _pipeline_at(dataset: Dataset, size: int) -> list[Measurement]:
    """Every kind of augmentation is on; what each costs does not depend on its probability."""
    config = AugmentationConfig(crop_size=(size, size), turns=0.5)
    augmented = jax.jit(lambda key, *examples: augment(jax.random.split(key, _BATCH), *examples, config))
    keys = jax.random.split(jax.random.key(0), 1_000)
    resized = ResizedDataset(dataset, functools.partial(training_shape, scale=size), kept_bytes=0)
    batches = training_batches(resized, seed=0, batch_size=_BATCH, size=largest_shape(size))
    # Images, masks, what is ignored, extents.
    results = (augmented(key, *batch[:4]) for key, batch in zip(keys, batches, strict=False))
    _consume(results, _WARM_UP)
    name = f"input pipeline, {size} x {size}"
    return throughput(name, "image", lambda: _consume(results, _MEASURED), _MEASURED * _BATCH)


def _consume(results: Iterator, count: int) -> None:
    jax.block_until_ready(list(itertools.islice(results, count)))


def _drawing(name: str, dataset: Dataset) -> list[Measurement]:
    """Eight scenes a call, others in each."""
    indices = itertools.cycle(range(len(dataset)))

    def draw() -> None:
        for index in itertools.islice(indices, 8):
            dataset[index]

    draw()
    return throughput(name, "scene", draw, 8)


def _drawing_in_two(size: int) -> Measurement:
    """As training gets its scenes from two workers: batches of ever new ones."""
    dataset = SurveySceneDataset("train", 10_000, size)
    batches = training_batches(dataset, seed=0, batch_size=_BATCH, size=(size, size), num_workers=2)
    _consume(batches, _WARM_UP)
    return rate(
        f"survey scenes, {size} x {size}, 2 processes",
        "scene",
        lambda: _consume(batches, _MEASURED),
        _MEASURED * _BATCH,
    )
