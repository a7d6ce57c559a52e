"""One data-set folder of all that the shipped detector learns from, and a folder of photographs to pretrain on.

python -m experiments.detector.assemble --photographs=PHOTOGRAPHS --output=runs/detector

PHOTOGRAPHS holds inspection_photos, corrosion_photos and unlabelled. OUTPUT/data gets images/, masks/ and splits.csv
with the column `site`; OUTPUT/unlabelled gets the photographs without outlines. Photographs are stored at a long side
of at most `--long_side` pixels as WebP, those without outlines of three quarters of it, so that both folders together
are small enough to travel.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from jaxtyping import Bool, UInt8
from PIL import Image

from experiments.detector.folders import read_named, read_table
from spotrust_jax.data.synthetic import SURVEY_SCENES, draw_out_of_distribution_scene, draw_survey_scene
from spotrust_jax.data.synthetic.objects import draw_object_scene
from spotrust_jax.io.images import read_mask, resize_image, resize_mask

_PHOTOGRAPHS = flags.DEFINE_string("photographs", None, "Folder of the folders of photographs.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)
_LONG_SIDE = flags.DEFINE_integer("long_side", 640, "Largest side of stored photographs, pixels.", lower_bound=32)
_QUALITY = flags.DEFINE_integer("quality", 90, "Of WebP.", lower_bound=1, upper_bound=100)
_TEST = flags.DEFINE_bool("test", True, "Whether the test parts are written, too.")

# Scenes of each kind, drawn from streams that no split of the survey scenes uses.
_SCENES = {"survey": 120, "surroundings": 100, "objects": 180}
_DRAW = {"survey": draw_survey_scene, "surroundings": draw_out_of_distribution_scene, "objects": draw_object_scene}
_SEED, _SIZE = 100, 512


class Labelled(NamedTuple):
    """A photograph or scene with its row of splits.csv."""

    name: str
    split: str
    group: str
    site: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: Bool[np.ndarray, "height width"]


def labelled(photographs: Path) -> Iterator[Labelled]:
    """All photographs with outlines, those known to show no corrosion, and the scenes."""
    for row in read_table(photographs / "inspection_photos" / "splits.csv"):
        image, mask = _pair(photographs / "inspection_photos", row["name"])
        yield Labelled(row["name"], row["split"], row["group"], row["site"], image, mask)
    for row in read_table(photographs / "corrosion_photos" / "splits.csv"):
        image, mask = _pair(photographs / "corrosion_photos", row["name"])
        # Its other parts are for tests and comparisons.
        split = "train" if row["split"] == "train" else "test"
        group = f"objects:{row['group']}"
        yield Labelled(f"steel_{row['name']}", split, group, "corrosion_photos", image, mask)
    for row in read_table(photographs / "unlabelled" / "list.csv"):
        if row["label"] == "no_rust":
            image = read_named(photographs / "unlabelled", row["name"])
            name = f"clean_{row['name']}"
            yield Labelled(name, "train", name, "clean", image, np.zeros(image.shape[:2], bool))
    for kind, count in _SCENES.items():
        for index in range(count):
            image, mask = _DRAW[kind](SURVEY_SCENES, _SEED, index, _SIZE)
            name = f"{kind}_{index:04d}"
            yield Labelled(name, "train", name, kind, image, mask)


def _pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return read_named(folder, name), read_mask(folder / "masks" / f"{name}.png")


def _stored_shape(shape: tuple[int, int], long_side: int) -> tuple[int, int]:
    shrunk = min(1.0, long_side / max(shape))
    return tuple(round(side * shrunk) for side in shape)


def _write_image(image: np.ndarray, path: Path, long_side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = Image.fromarray(resize_image(image, *_stored_shape(image.shape[:2], long_side)))
    stored.save(path, quality=_QUALITY.value, method=6)


def main(_: list[str]) -> None:
    """Writes both folders."""
    photographs, output = Path(_PHOTOGRAPHS.value), Path(_OUTPUT.value)
    data, rows = output / "data", []
    (data / "masks").mkdir(parents=True, exist_ok=True)
    for one in labelled(photographs):
        if one.split == "test" and not _TEST.value:
            continue
        _write_image(one.image, data / "images" / f"{one.name}.webp", _LONG_SIDE.value)
        mask = resize_mask(one.mask, *_stored_shape(one.mask.shape, _LONG_SIDE.value))
        Image.fromarray(mask).save(data / "masks" / f"{one.name}.png", optimize=True)
        rows.append((one.name, one.split, one.group, one.site))
    with (data / "splits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "split", "group", "site"])
        writer.writerows(sorted(rows))
    for row in read_table(photographs / "unlabelled" / "list.csv"):
        if row["label"] != "no_rust":
            image = read_named(photographs / "unlabelled", row["name"])
            _write_image(image, output / "unlabelled" / f"{row['name']}.webp", 3 * _LONG_SIDE.value // 4)
    print(f"{len(rows)} labelled photographs and scenes: {data}")


if __name__ == "__main__":
    app.run(main)
