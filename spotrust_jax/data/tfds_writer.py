"""Writes any data set as a tfds data set of array_record files, without TensorFlow; tfds_dataset.py reads it.

This module takes half a second to import, so it is imported only where something is written.
"""

import contextlib
import functools
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image

from spotrust_jax.data.card import DatasetCard, card_to_dict, check_writable, is_text
from spotrust_jax.data.example import Dataset
from spotrust_jax.data.example_order import sites_of
from spotrust_jax.errors import InputError

# A shard's files are in memory while it is written. Readers keep all shards open, hence the largest number of them.
_EXAMPLES_PER_SHARD, _MOST_SHARDS = 16, 256

_FEATURES = {
    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
    "label": tfds.features.LabeledImage(
        shape=(None, None, 1), encoding_format="png", labels=["background", "corrosion"]
    ),
    "ignored": tfds.features.LabeledImage(shape=(None, None, 1), encoding_format="png", labels=["counts", "ignored"]),
    "name": tfds.features.Text(),
    "group": tfds.features.Text(),
}


# The builder that shuffles needs TensorFlow for a split above 1 GB; this one writes shard after shard.
class CorrosionSegmentation(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Photographs in the order of their names, with the label 1 where there is corrosion and 0 elsewhere.

    "ignored" is 1 where the class is unknown.

    tfds puts it into DATA_DIR/corrosion_segmentation/CONFIG/VERSION. The metadata are card, names and sites.
    """

    BUILDER_CONFIGS = [  # noqa: RUF012 (tfds asks for a list)
        tfds.core.BuilderConfig(name="folder", description="Labelled photographs of a prepared folder"),
        tfds.core.BuilderConfig(name="scenes", description="Synthetic scenes of corroding steel"),
    ]

    # Checksums of downloads would lie beside the code: there are none, and looking for them takes a further package.
    code_path = None

    def __init__(self, splits: Mapping[str, Dataset], card: DatasetCard, **options: Any):
        self._datasets = {split: dataset for split, dataset in splits.items() if len(dataset)}
        self._card = card
        self.VERSION = tfds.core.Version(card.version)  # the data's own, not that of this class
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        names = {split: sorted(dataset.names) for split, dataset in self._datasets.items()}
        sites = {split: _sites(dataset) for split, dataset in self._datasets.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._card.description,
            citation=self._card.citation,
            license=self._card.licence,
            features=tfds.features.FeaturesDict(_FEATURES),
            metadata=tfds.core.MetadataDict(card=card_to_dict(self._card), names=names, sites=sites),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, _: Any) -> dict[str, list[Callable[[], Iterator[tuple[int, dict]]]]]:
        return {
            split: [functools.partial(_examples, dataset, indices) for indices in _shards(dataset.names)]
            for split, dataset in self._datasets.items()
        }


def write_tfds(
    splits: Mapping[str, Dataset], output: Path, card: DatasetCard, config: Literal["folder", "scenes"] = "folder"
) -> Path:
    """Writes the data set below `output` and returns its folder, which appears only once it is complete.

    The files depend on names and content alone, not on the order in which the data sets give their examples.

    Raises:
        InputError: where `output` has this version already, or whatever the data sets raise.
        OSError: where the files cannot be written.
    """
    check_writable(splits, card)
    if not is_text(str(output)):
        raise InputError(f"output {output} is no Unicode text, as tfds needs it: choose another folder, or --to=folder")
    builder = CorrosionSegmentation(splits, card, config=config, data_dir=output)
    folder = Path(builder.data_dir)
    if folder.exists():
        remedy = "remove it, or give another version or output folder"
        raise InputError(f"{folder} is there already, and a version does not change: {remedy}")
    # tfds speaks of downloads, and makes a folder for them.
    with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
        try:
            builder.download_and_prepare(download_dir=downloads)
        except RuntimeError as error:  # of array_record, whatever the system has said
            if reason := re.search(r"\w+\(\) failed: ([^;]+)", str(error)):
                raise OSError(reason[1]) from error
            raise
    return folder


def _sites(dataset: Dataset) -> list[str]:
    """Where the photographs come from, in the order of their names."""
    return [site for _, site in sorted(zip(dataset.names, sites_of(dataset), strict=True))]


def _shards(names: Sequence[str]) -> list[np.ndarray]:
    """Indices of the examples in the order of their names, in nearly equal parts."""
    order = sorted(range(len(names)), key=lambda index: names[index])
    return np.array_split(order, min(-(-len(order) // _EXAMPLES_PER_SHARD), _MOST_SHARDS))


def _examples(dataset: Dataset, indices: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    for index in indices.tolist():
        example = dataset[index]
        image, label = _png(example.image), _png(example.mask.astype(np.uint8))
        ignored = _png((~example.scored).astype(np.uint8))
        yield (
            index,
            {"image": image, "label": label, "ignored": ignored, "name": example.name, "group": example.group},
        )


def _png(pixels: UInt8[np.ndarray, "height width *channel"]) -> bytes:
    """Encoded here, since tfds would take TensorFlow for it; compressed fast, as more gains little on photographs."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
