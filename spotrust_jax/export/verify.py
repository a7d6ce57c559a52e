"""Whether the files of a bundle, run without the library, give the library's maps of photographs.

Both sides compute on the CPU, the files in a process of their own.
"""

import dataclasses
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jaxtyping import Array, Key, UInt8

from spotrust_jax.data.sizes import inference_shape
from spotrust_jax.errors import InputError, RunError
from spotrust_jax.export.bundle import (
    CHECKPOINT,
    DESCRIPTION,
    PROGRAM,
    VARIABLES,
    Description,
    describe,
    read_description,
)
from spotrust_jax.export.encoder_decoder import first_noise, half_names, in_float32
from spotrust_jax.inference.preprocessing import fit_image, list_photographs
from spotrust_jax.inference.segmenter import Segmenter, load
from spotrust_jax.io.images import read_image
from spotrust_jax.random import content_keys
from spotrust_jax.typing import Device

LARGEST, MEAN = 1e-4, 1e-5
"""Limits of the difference of a map: at any pixel, and on average over the pixels of a photograph."""

_NUM_SAMPLES = 5
_SCRIPT = Path(__file__).with_name("without_library.py")

Image = UInt8[np.ndarray, "height width 3"]


class Difference(NamedTuple):
    """How far a map that files give is from the library's: at its worst pixel, and on average in its worst image."""

    files: str
    kind: str
    largest: float
    mean: float

    @property
    def within(self) -> bool:
        """Whether it is within the limits, which what is not a number is not."""
        return self.largest <= LARGEST and self.mean <= MEAN

    def __str__(self) -> str:
        return f"{self.kind} differs by {self.largest:.1e} at most and {self.mean:.1e} on average"


def read_photographs(pattern: str, inference_size: int) -> list[Image]:
    """The photographs that a file, folder or glob stands for, at the size at which the model sees them.

    Raises:
        InputError: where there are none, or one cannot be read.
    """
    images = [read_image(photograph.path) for photograph in list_photographs(pattern)]
    return [fit_image(image, inference_shape(image.shape[0], image.shape[1], inference_size)) for image in images]


def verify(bundle: Path, images: list[Image]) -> list[Difference]:
    """Differences of all maps that files give.

    Raises:
        InputError: where `bundle` is none, lacks a file, is damaged, or cannot be compared on this machine.
        RunError: where its checkpoint is not the one that was exported, or its files need more than this machine has.
    """
    description = read_description(bundle)
    segmenter = load(bundle / CHECKPOINT).spread([_cpu()])[0]
    if segmenter.fingerprint != description.fingerprint:
        raise RunError(f"{bundle / CHECKPOINT} is not the model that was exported: export again")
    _check_description(bundle, description, describe(segmenter, description.files))
    members = _onnx_members(segmenter, description)
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder)
        for index, image in enumerate(images):
            np.savez(cases / f"{index}.case.npz", **_case(segmenter, members, image))
        _run_without_library(bundle, cases)
        found = [dict(np.load(cases / f"{index}.maps.npz")) for index in range(len(images))]
    return _differences(found, [_expected(segmenter, members, image) for image in images])


def _check_description(bundle: Path, found: Description, expected: Description) -> None:
    """Raises an `InputError` where `bundle.json` says of the model what is not so; its words may be of another time."""
    for field in dataclasses.fields(Description):
        value, right = getattr(found, field.name), getattr(expected, field.name)
        if field.name not in ("inputs", "outputs", "platforms", "jax") and value != right:
            raise InputError(
                f"{bundle / DESCRIPTION} has {field.name} {value}, the checkpoint beside it {right}: export again"
            )


def _cpu() -> Device:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise InputError("--verify compares on the CPU, which --platform rules out: give --platform=auto") from error


def _onnx_members(segmenter: Segmenter, description: Description) -> dict[str, Segmenter]:
    """The networks that the bundle has as ONNX files, by the names of these."""
    names = [half_names(index) for index in range(description.members)]
    if names[0][0] not in description.files:
        return {}
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError("--verify of ONNX files needs the package onnxruntime: pip install 'spotrust-jax[onnx]'")
    return {", ".join(pair): in_float32(segmenter.member(index)).uncalibrated for index, pair in enumerate(names)}


def _case(segmenter: Segmenter, members: dict[str, Segmenter], image: Image) -> dict[str, Any]:
    """What the files are given."""
    keys = _key_of(image)
    case = {"image": image, "key": np.asarray(jax.random.key_data(keys))[0], "num_samples": np.int32(_NUM_SAMPLES)}
    for name in members:
        noise = first_noise(segmenter.config.model, keys, *image.shape[:2])
        case.update({f"{name}/noise_{index}": np.asarray(x).transpose(0, 3, 1, 2) for index, x in enumerate(noise)})
    return case


def _key_of(image: Image) -> Key[Array, "1"]:
    return content_keys(jax.random.key(0), image[None])


def _run_without_library(bundle: Path, cases: Path) -> None:
    """Leaves the files' maps in `cases`."""
    cache = cast(Any, jax.config).jax_compilation_cache_dir  # jax adds its settings as the program runs
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **({"JAX_COMPILATION_CACHE_DIR": cache} if cache else {})}
    # -P: the script's own folder, which is the library's, is no place to import from.
    command = [sys.executable, "-P", str(_SCRIPT), str(bundle), str(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        # A process that the system ended (for want of memory) has a negative code and says nothing.
        kind = InputError if done.returncode > 0 else RunError
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
        raise kind(f"the files of {bundle} do not run without the library ({reason}): export again")


def _expected(segmenter: Segmenter, members: dict[str, Segmenter], image: Image) -> dict[str, np.ndarray]:
    """What the library gives, by FILES/MAP."""
    key = jax.random.key(0)
    maps = segmenter.predict(image, key=key, num_samples=_NUM_SAMPLES, scale="native")
    expected = {f"{PROGRAM}, {VARIABLES}/{kind}": getattr(maps, kind) for kind in maps.names}
    for name, member in members.items():
        maps = member.predict(image, key=key, num_samples=1, scale="native")
        expected.update({f"{name}/{kind}": getattr(maps, kind) for kind in ("probability", "log_variance")})
    return expected


def _differences(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> list[Difference]:
    differences = []
    for name in expected[0]:
        apart = [np.abs(maps[name] - others[name]) for maps, others in zip(found, expected, strict=True)]
        largest, mean = (float(np.max([reduce(values) for values in apart])) for reduce in (np.max, np.mean))
        files, kind = name.split("/")
        differences.append(Difference(files, kind, largest, mean))
    return differences
