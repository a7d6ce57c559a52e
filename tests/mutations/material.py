"""Valid input of every program: photographs with labels of several formats, a model, a bundle, runs."""

import csv
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.programs import call

SIZE = (48, 64)
NAMES = ("a", "b", "c", "d", "e", "victim")
"""Photographs of each source; damage is done to the last."""

FORMATS = ("folder", "tsv", "labelme", "coco", "yolo")

# Corroded in every photograph, as (left, top, right, bottom).
_BOX = (10, 8, 40, 30)


class Material(NamedTuple):
    """Folders that cases copy and never change."""

    photographs: Path
    sources: Path
    dataset: Path
    prepared: Path
    model: Path
    shipped: Path
    maps: Path
    run: Path
    bundle: Path
    weights: Path


def write_material(root: Path) -> Material:
    """All of it, made by the programs themselves where they make it."""
    material = Material(*(root / name for name in Material._fields))
    _write_photographs(material.photographs)
    for format in FORMATS:
        (material.sources / format).mkdir(parents=True)
        globals()[f"_write_{format}"](material.sources / format)
    _write_dataset(material.dataset)
    _write_models(material)
    _write_weights(material.weights)
    checkpoint = f"--checkpoint={material.model}"
    _run(
        root,
        "predict",
        checkpoint,
        f"--input={material.photographs}",
        f"--output={material.maps}",
        "--num_samples=2",
        "--report",
    )
    _run(root, "prepare_data", f"--source={material.sources}/folder", f"--output={material.prepared}")
    _run(root, "train", *training_flags(material.dataset, material.run))
    _run(root, "export", checkpoint, f"--output={material.bundle}")
    return material


def training_flags(data: str | Path, workdir: str | Path) -> list[str]:
    """An epoch of one step."""
    fields = {
        "model.width": 4,
        "data.path": data,
        "data.image_size": 64,
        "augmentation.crop_size": "(64, 64)",
        "epochs": 1,
        "batch_size": 4,
        "validation_samples": 1,
    }
    options = [f"--config.{name}={value}" for name, value in fields.items()]
    return ["--config=configs/variational.py:w18_small_v1", f"--workdir={workdir}", *options]


def _run(root: Path, *command: str) -> None:
    outcome = call(command[0], list(command[1:]), root, limit=900)
    assert outcome.code == 0, (command, outcome)


def photograph(seed: int) -> np.ndarray:
    """Brown where corroded, grey elsewhere, and noisy."""
    pixels = np.random.default_rng(seed).integers(90, 140, (*SIZE, 3)).astype(np.uint8)
    left, top, right, bottom = _BOX
    pixels[top:bottom, left:right] = pixels[top:bottom, left:right] // (1, 2, 4)
    return pixels


def mask() -> np.ndarray:
    """255 where corroded."""
    left, top, right, bottom = _BOX
    values = np.zeros(SIZE, np.uint8)
    values[top:bottom, left:right] = 255
    return values


def _write_photographs(folder: Path, suffix: str = "png") -> None:
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        Image.fromarray(photograph(seed)).save(folder / f"{name}.{suffix}")


def _write_masks(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in NAMES:
        Image.fromarray(mask()).save(folder / f"{name}.png")


def _write_folder(root: Path) -> None:
    _write_photographs(root / "images")
    _write_masks(root / "masks")


def _write_tsv(root: Path) -> None:
    _write_folder(root)
    rows = ["Image\tMask", *(f"images/{name}.png\tmasks/{name}.png" for name in NAMES)]
    (root / "data.tsv").write_text("\n".join(rows) + "\n")


def _write_labelme(root: Path) -> None:
    _write_photographs(root / "photographs")
    left, top, right, bottom = _BOX
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    for name in NAMES:
        document = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [
                {"label": "corrosion", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}},
            ],
            "imagePath": f"{name}.png",
            "imageData": None,
            "imageHeight": SIZE[0],
            "imageWidth": SIZE[1],
        }
        (root / "photographs" / f"{name}.json").write_text(json.dumps(document))


def _write_coco(root: Path) -> None:
    _write_photographs(root / "images")
    left, top, right, bottom = _BOX
    outline = [left, top, right, top, right, bottom, left, bottom]
    box, area = [left, top, right - left, bottom - top], (right - left) * (bottom - top)
    common = {"category_id": 1, "segmentation": [outline], "bbox": box, "area": area, "iscrowd": 0}
    document = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate(NAMES)
        ],
        "categories": [{"id": 1, "name": "corrosion"}],
        "annotations": [{"id": i, "image_id": i, **common} for i in range(len(NAMES))],
    }
    (root / "annotations.json").write_text(json.dumps(document))


def _write_yolo(root: Path) -> None:
    _write_photographs(root / "images" / "train")
    (root / "labels" / "train").mkdir(parents=True)
    left, top, right, bottom = _BOX
    x, y = (left / SIZE[1], right / SIZE[1]), (top / SIZE[0], bottom / SIZE[0])
    line = f"0 {x[0]} {y[0]} {x[1]} {y[0]} {x[1]} {y[1]} {x[0]} {y[1]}\n"
    for name in NAMES:
        (root / "labels" / "train" / f"{name}.txt").write_text(line)
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nnames:\n  0: corrosion\n")


def _write_dataset(root: Path) -> None:
    _write_folder(root)
    splits = ("train", "train", "train", "train", "validation", "validation")
    with (root / "splits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "split", "group"])
        writer.writerows([name, split, name] for name, split in zip(NAMES, splits, strict=True))


def _write_models(material: Material) -> None:
    from spotrust_jax.checkpoints import CheckpointConfig, save_model, save_safetensors
    from spotrust_jax.config import ModelConfig
    from tests.trained_like import trained_like

    model = ModelConfig("deterministic", "w18_small_v1", width=4)
    config, variables = CheckpointConfig(model, 1, (0.5,) * 3, (0.2,) * 3, 64), trained_like(model)
    save_model(material.model, variables, config)
    save_safetensors(material.shipped, variables, config)


def _write_weights(folder: Path) -> None:
    """As PyTorch and safetensors files, with the hyperparameters that belong to them."""
    import torch
    from safetensors.numpy import save_file

    from tests.hrnet_state import random_state

    folder.mkdir(parents=True)
    state = random_state("w18_small_v1", 4, 0)
    save_file(state, folder / "model.safetensors")
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in state.items()}, folder / "model.pth")
    stages = {
        f"STAGE{stage}": {
            "NUM_MODULES": 1,
            "NUM_BLOCKS": [1 if stage == 1 else 2] * stage,
            "NUM_CHANNELS": [32] if stage == 1 else [4, 8, 16, 32][:stage],
        }
        for stage in (1, 2, 3, 4)
    }
    arch = {"config": "HRNet_var", "num_classes": 1, "image_shape": [3, 480, 640], "ALIGN_CORNERS": False}
    reference = {
        "data": {"pop_mean": [0.6, 0.5, 0.4], "pop_std0": [0.1, 0.2, 0.3], "class_weights": [1.0, 7.035]},
        "arch": {**arch, "EXTRA": {"FINAL_CONV_KERNEL": 1, **stages}},
    }
    (folder / "reference.json").write_text(json.dumps(reference))


def copied(source: Path, target: Path) -> Path:
    """A copy that a case may damage."""
    shutil.copytree(source, target, symlinks=True)
    return target
