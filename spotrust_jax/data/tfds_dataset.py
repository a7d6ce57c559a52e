"""A data set that `spotrust prepare_data` wrote for tfds, read without TensorFlow; tfds_writer.py writes it."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spotrust_jax.data.card import DatasetCard, card_from_dict
from spotrust_jax.data.example import Example
from spotrust_jax.data.splits import NO_FOLD, chosen_splits
from spotrust_jax.errors import InputError
from spotrust_jax.io.images import without_pillow_limit

_INFO_NAME = "dataset_info.json"


def find_tfds(path: Path) -> Path | None:
    """The folder of the one tfds data set in `path` or below it (name, config and version), None where there is none.

    Raises:
        InputError: where there are several.
    """
    found = [file.parent for depth in ("", "*/", "*/*/", "*/*/*/") for file in sorted(path.glob(depth + _INFO_NAME))]
    if len(found) > 1:
        raise InputError(f"{path} has several data sets: give the path of one, such as {found[-1]}")
    return found[0] if found else None


def read_tfds_card(folder: Path) -> DatasetCard:
    """The card of the data set in a folder that `find_tfds` gave."""
    return card_from_dict(_metadata(_builder(folder), folder)["card"], folder / "metadata.json")


class TfdsDataset:
    """The labelled photographs of one split, in the order of their names, read when asked for.

    Args:
        path: folder of the data set, or one above it.
        split: a split of it, "all", or "train" or "validation" of `fold`.
        fold: number of the fold that validates; -1 where there are no folds.

    Threads may share it, and it can be pickled: whoever unpickles it opens the files again.

    Raises:
        InputError: where `path` is no such data set, or has no such split, or a file is damaged.
    """

    def __init__(self, path: str | Path, split: str, fold: int = NO_FOLD):
        self._arguments = (path, split, fold)
        folder = find_tfds(Path(path))
        if folder is None:
            raise InputError(f"{path} is not a tfds data set, it has no {_INFO_NAME}: check the path")
        self._folder = folder
        builder = _builder(folder)
        metadata = _metadata(builder, folder)
        names, sites = metadata["names"], metadata["sites"]
        splits = chosen_splits({part: len(of) for part, of in names.items()}, split, fold, folder)
        self._sources = {part: _source(builder, part, folder) for part in splits}
        for part in splits:
            if len(self._sources[part]) != len(names[part]):
                raise _damaged(folder, f"split {part} has {len(self._sources[part])} examples of {len(names[part])}")
        self._places = sorted((name, part, at) for part in splits for at, name in enumerate(names[part]))
        self.names = tuple(name for name, _, _ in self._places)
        self.sites = tuple(sites[part][at] if part in sites else "" for _, part, at in self._places)

    def __reduce__(self):
        return TfdsDataset, self._arguments

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        name, part, position = self._places[index]
        try:
            record = self._sources[part][position]
            image, label = _decoded(record["image"], "RGB"), _decoded(record["label"], "L")
            # Data sets of earlier versions do not say what is ignored.
            ignored = _decoded(record["ignored"], "L") == 1 if "ignored" in record else np.zeros(label.shape, bool)
            return Example(name, image, label == 1, record["group"].decode(), ignored if ignored.any() else None)
        # Checksums, protocol buffers and Pillow's decoders fail in ways of their own.
        except Exception as error:
            raise _damaged(self._folder, f"photograph {name!r}: {error}") from error

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def _builder(folder: Path) -> Any:
    """What tfds knows of the data set."""
    import tensorflow_datasets as tfds  # noqa: PLC0415 (half a second, for whoever has such a data set)

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # of JSON, of protocol buffers, of tfds
        raise _damaged(folder, error) from error


def _metadata(builder: Any, folder: Path) -> Mapping[str, Any]:
    try:
        known = builder.info.metadata
        # Data sets of earlier versions do not know their sites.
        return {"card": known["card"], "names": known["names"], "sites": dict(known.get("sites", {}))}
    except (KeyError, TypeError, ValueError) as error:
        remedy = "give one that spotrust prepare_data wrote"
        raise InputError(f"{folder} is a tfds data set without the metadata of this program: {remedy}") from error


def _source(builder: Any, split: str, folder: Path) -> Any:
    """Records of a split with the images as they are in the file: Pillow decodes them, as it does everywhere else."""
    import tensorflow_datasets as tfds  # noqa: PLC0415

    skip = tfds.decode.SkipDecoding()
    try:
        images = [name for name in builder.info.features if name in ("image", "label", "ignored")]
        return builder.as_data_source(split, decoders=dict.fromkeys(images, skip))
    except Exception as error:
        raise _damaged(folder, error) from error


def _decoded(file: bytes, mode: str) -> np.ndarray:
    with without_pillow_limit, Image.open(io.BytesIO(file)) as image:
        return np.array(image.convert(mode))


def _damaged(folder: Path, problem: object) -> InputError:
    return InputError(f"tfds data set {folder} is damaged ({' '.join(str(problem).split())}): prepare it again")
