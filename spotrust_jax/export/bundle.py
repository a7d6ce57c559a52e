"""The folder that `spotrust export` writes: its files, their description in `bundle.json`, and its README."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import jax

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError
from spotrust_jax.export.example_programs import usage_text
from spotrust_jax.export.stablehlo import KEY_IMPLEMENTATION, PLATFORMS, write_program
from spotrust_jax.fields import read_config_file, to_dict
from spotrust_jax.inference.maps import given_by
from spotrust_jax.inference.prediction import MAPS
from spotrust_jax.inference.segmenter import Segmenter
from spotrust_jax.io.atomic_files import atomic_folder
from spotrust_jax.io.regular_files import special_file
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.mismatch import mismatch_errors
from spotrust_jax.models.variants.registry import variant_of

FORMAT = 1
DESCRIPTION, README, CHECKPOINT = "bundle.json", "README.md", "checkpoint"
PROGRAM, VARIABLES, PHOTOGRAPHS = "model.stablehlo", "variables.npz", "photographs.py"


@dataclasses.dataclass(frozen=True)
class Description:
    """What a program must know to use a bundle, as `bundle.json` has it.

    Attributes:
        format: version of this layout.
        files: names of all other files and folders of the bundle.
        fingerprint: of the checkpoint's weights and settings.
        inputs, outputs: of the program, with types and shapes.
        size_multiple: pixels; each side of an image is a multiple of it.
        inference_size: long side, in pixels, that the model was trained at.
        calibration: of the mean probability, sigmoid(slope * logit(p) + intercept), which the program does itself.
        threshold: calibrated probability from which a pixel counts as corrosion.
        mean, std: channel statistics of the normalisation, which the program does itself.
        members: networks of the ensemble.
        noise: of a sample, as its variant declares it: "normal" (standard normals times the branches' stds),
            "mask" (factors on the branches), "kernel" (drawn kernels), "last_layer" (drawn weights of the last layer),
            "none", or another variant's word.
        key_implementation: of the random keys whose data the program takes.
        platforms: that the program was lowered for.
        jax: version that wrote the program.
    """

    format: int
    files: tuple[str, ...]
    fingerprint: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    size_multiple: int
    inference_size: int
    calibration: PlattScaling
    threshold: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    members: int
    noise: str
    key_implementation: str
    platforms: tuple[str, ...]
    jax: str


def describe(segmenter: Segmenter, files: tuple[str, ...]) -> Description:
    """The description of a bundle of this version."""
    config, cell = segmenter.config, COARSEST_CELL
    images = f"[batch, {cell} * rows, {cell} * columns"
    return Description(
        format=FORMAT,
        files=files,
        fingerprint=segmenter.fingerprint,
        inputs=(
            f"variables: all arrays of {VARIABLES} by their names",
            f"images: uint8 {images}, 3], red, green, blue",
            "keys: uint32 [batch, 2], data of one random key for each image",
            "num_samples: int32 [], passes of each member, at least 1",
        ),
        outputs=tuple(f"{name}: float32 {images}]" for name in given_by(MAPS, config)),
        size_multiple=cell,
        inference_size=config.inference_size,
        calibration=config.calibration,
        threshold=config.threshold,
        mean=config.mean,
        std=config.std,
        members=config.members,
        noise=variant_of(config.model).exported_noise,
        key_implementation=KEY_IMPLEMENTATION,
        platforms=PLATFORMS,
        jax=jax.__version__,
    )


def write_bundle(segmenter: Segmenter, output: str | os.PathLike, *, onnx: bool) -> None:
    """Writes a bundle, whole or not at all; with ONNX files if `onnx`.

    Raises:
        InputError: where `output` exists or cannot be written, or the model or this machine has no way to ONNX.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"--output={output} exists: give a new folder, or remove it")
    if onnx:
        _require_onnx(segmenter)
    try:
        with atomic_folder(output) as folder, mismatch_errors(segmenter.variables, segmenter.config.model):
            _fill(segmenter, folder, onnx=onnx)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--output={output} cannot be written ({reason}): give another folder") from error


def _require_onnx(segmenter: Segmenter) -> None:
    try:
        from spotrust_jax.export.onnx_files import require_convertible  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise InputError("--onnx needs the package onnx: pip install 'spotrust-jax[onnx]'") from error
    require_convertible(segmenter)


def _fill(segmenter: Segmenter, folder: Path, *, onnx: bool) -> None:
    files = [README, CHECKPOINT, PROGRAM, VARIABLES, PHOTOGRAPHS]
    segmenter.save(folder / CHECKPOINT)
    write_program(segmenter, folder / PROGRAM, folder / VARIABLES)
    shutil.copyfile(Path(__file__).with_name(PHOTOGRAPHS), folder / PHOTOGRAPHS)
    if onnx:
        from spotrust_jax.export.onnx_files import write_onnx  # noqa: PLC0415  # an extra

        files += write_onnx(segmenter, folder)
    description = describe(segmenter, tuple(files))
    (folder / DESCRIPTION).write_text(json.dumps(to_dict(description), indent=2) + "\n")
    (folder / README).write_text(usage_text(segmenter.config, onnx=onnx))


def read_description(folder: str | os.PathLike) -> Description:
    """The description of a bundle that has all of its files.

    Raises:
        InputError: where `folder` is no such bundle.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{folder} is no bundle: it has no {DESCRIPTION}; give a folder that spotrust export wrote")
    description = read_config_file(Description, path, what="bundle", version=FORMAT)
    if found := special_file(Path(folder)):
        raise InputError(f"{found} is a pipe or a device, no file: export again")
    for name in description.files:
        if not os.path.exists(Path(folder) / name):
            raise InputError(f"bundle {folder} has no {name}, which its {DESCRIPTION} names: export again")
    return description
