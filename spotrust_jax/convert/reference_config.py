"""The reference config, the paper's `hypes.json`: the network that a weight file belongs to, and its image statistics.

Its training settings are not read: `configs/` has this project's own. Weights without such a file, as ImageNet's, get
the same description from flags.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.io.regular_files import read_text
from spotrust_jax.models.presets import PRESETS, Architecture, architecture
from spotrust_jax.models.variants.registry import VARIANTS

Triple = tuple[float, float, float]

# What weights without a reference config were normalised by: every published HRNet has seen these.
_IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
_IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
# The long side of the paper's photographs.
_INFERENCE_SIZE = 640

# Names of variants by what the reference calls them.
_VARIANTS = {variant.reference_name: name for name, variant in VARIANTS.items() if variant.reference_name}


@dataclasses.dataclass(frozen=True)
class ReferenceConfig:
    """What must be known to use a released weight file.

    Attributes:
        model: the network.
        mean, std: channel statistics that images in [0, 1] are normalised by.
        inference_size: long side, in pixels, of the images that it was trained on.
        positive_weight: weight of corroded pixels in training.
    """

    model: ModelConfig
    mean: Triple
    std: Triple
    inference_size: int
    positive_weight: float


def choose_reference_config(
    path: str | os.PathLike | None,
    preset: str | None,
    variant: str | None,
    *,
    mean: Sequence[str] | None = None,
    std: Sequence[str] | None = None,
) -> ReferenceConfig:
    """What the flags say: a reference config, or a preset and a variant; in both cases perhaps statistics as texts.

    Raises:
        InputError: for both or neither of the two, and as the functions that read each.
    """
    statistics = {
        "mean": None if mean is None else parse_triple(mean, "--mean"),
        "std": None if std is None else parse_triple(std, "--std"),
    }
    if path is not None and (preset or variant):
        raise InputError("--reference_config already says which network it is: leave out --preset and --variant")
    if path is not None:
        return read_reference_config(path, **statistics)
    if preset is None or variant is None:
        raise InputError(
            "--reference_config is missing: give the weights' hyperparameter file, or --preset and --variant"
        )
    return preset_reference_config(preset, variant, **statistics)


def read_reference_config(
    path: str | os.PathLike, *, mean: Triple | None = None, std: Triple | None = None
) -> ReferenceConfig:
    """Reads a reference config; `mean` and `std`, where given, replace its `pop_mean` and `pop_std0`.

    Raises:
        InputError: for a file that is missing or no JSON, a field that is missing or of another type, a network that
            none of the presets is, or a standard deviation that is not positive.
    """
    fields = _Fields(Path(path), _read_json(Path(path)))
    fields.require("arch.num_classes", 1, "a network of one class, corrosion")
    fields.require("arch.ALIGN_CORNERS", False, "interpolation with half-pixel centres")
    return ReferenceConfig(
        model=_read_model(fields),
        mean=mean or fields.triple("data.pop_mean"),
        std=_read_std(fields) if std is None else check_std(std, "--std"),
        inference_size=_read_long_side(fields),
        positive_weight=_read_positive_weight(fields),
    )


def preset_reference_config(
    preset: str, variant: str, *, mean: Triple | None = None, std: Triple | None = None
) -> ReferenceConfig:
    """Description of weights that come without a reference config; by default with ImageNet's channel statistics.

    Raises:
        InputError: for a preset or a variant that does not exist, or a standard deviation that is not positive.
    """
    if variant not in _VARIANTS.values():
        raise InputError(f"--variant is {variant!r}: choose one of {', '.join(_VARIANTS.values())}")
    architecture(preset)
    std = check_std(std or _IMAGENET_STD, "--std")
    return ReferenceConfig(
        ModelConfig(variant, preset), mean or _IMAGENET_MEAN, std, _INFERENCE_SIZE, positive_weight=1.0
    )


def parse_triple(values: Sequence[str], name: str) -> Triple:
    """Three numbers from their texts; `name` is the flag they were given with.

    Raises:
        InputError: where they are not three finite numbers.
    """
    try:
        red, green, blue = (float(value) for value in values)
    except ValueError as error:
        raise InputError(f"{name}={','.join(values)} is not three numbers: write {name}=0.6,0.55,0.53") from error
    if not math.isfinite(red + green + blue):
        raise InputError(f"{name}={','.join(values)} is not finite: write {name}=0.6,0.55,0.53")
    return red, green, blue


def check_std(std: Triple, name: str) -> Triple:
    """The standard deviation itself if images can be divided by it.

    Raises:
        InputError: where one is zero, negative or not a number; `name` says where it comes from.
    """
    if not all(value > 0 and math.isfinite(value) for value in std):
        raise InputError(
            f"{name} is {list(std)}, and images are divided by it: give the training images' channel statistics, "
            f"in units of [0, 1], with --mean=R,G,B and --std=R,G,B"
        )
    return std


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(read_text(path))
    except OSError as error:
        raise InputError(f"reference config {path} cannot be read ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"reference config {path} is not JSON ({error}): give the file that belongs to the weights"
        ) from error
    if not isinstance(values, Mapping):
        raise InputError(f"reference config {path} is not a JSON object: give the file that belongs to the weights")
    return values


def _read_std(fields: "_Fields") -> Triple:
    return check_std(fields.triple("data.pop_std0"), f"{fields.path}: data.pop_std0")


def _read_long_side(fields: "_Fields") -> int:
    long_side = int(max(fields.numbers("arch.image_shape", 3)[1:]))
    if long_side < 32:
        raise fields.error("arch.image_shape", long_side, "the longer side; expected at least 32 pixels")
    return long_side


def _read_positive_weight(fields: "_Fields") -> float:
    weights = fields.numbers("data.class_weights", 2)
    if weights[1] <= 0:
        raise fields.error("data.class_weights", weights, "expected positive numbers")
    return weights[1]


def _read_model(fields: "_Fields") -> ModelConfig:
    """The preset whose structure this is, with the file's width where it is another."""
    name = fields.get("arch.config", str)
    if name not in _VARIANTS:
        raise fields.error("arch.config", name, f"expected one of {', '.join(_VARIANTS)}")
    final_kernel = fields.get("arch.EXTRA.FINAL_CONV_KERNEL", int)
    if final_kernel not in (1, 3):
        raise fields.error("arch.EXTRA.FINAL_CONV_KERNEL", final_kernel, "expected 1 or 3")
    width = _read_width(fields)
    presets = _presets_of_structure(fields, width)
    exact = [preset for preset in presets if PRESETS[preset].width == width]
    return ModelConfig(_VARIANTS[name], (exact or presets)[0], 0 if exact else width, final_kernel)


def _read_width(fields: "_Fields") -> int:
    """Channels of the finest branch."""
    name = "arch.EXTRA.STAGE2.NUM_CHANNELS"
    channels = fields.get(name, list)
    if not channels or type(channels[0]) is not int or channels[0] < 1:
        raise fields.error(name, channels, "expected positive whole numbers")
    return channels[0]


def _presets_of_structure(fields: "_Fields", width: int) -> list[str]:
    """Presets that agree with the file in everything but the width."""
    candidates = {preset: _structure(dataclasses.replace(shape, width=width)) for preset, shape in PRESETS.items()}
    for name in _structure(PRESETS["w18"]):
        expected = [structure[name] for structure in candidates.values()]
        value = fields.get(name, type(expected[0]))
        candidates = {preset: structure for preset, structure in candidates.items() if structure[name] == value}
        if not candidates:
            choice = " or ".join(dict.fromkeys(map(json.dumps, expected)))
            raise fields.error(name, value, f"and no preset is such a network: expected {choice}")
    return list(candidates)


def _structure(shape: Architecture) -> dict[str, Any]:
    """What a reference config says of such a network, by field."""
    extra = "arch.EXTRA.STAGE"
    fields: dict[str, Any] = {
        f"{extra}1.NUM_BLOCKS": [shape.stage1_blocks],
        f"{extra}1.NUM_CHANNELS": [shape.stage1_channels],
    }
    for branches, modules in zip((2, 3, 4), shape.modules, strict=True):
        fields[f"{extra}{branches}.NUM_MODULES"] = modules
        fields[f"{extra}{branches}.NUM_BLOCKS"] = [shape.blocks] * branches
        fields[f"{extra}{branches}.NUM_CHANNELS"] = list(shape.branch_channels(branches))
    return fields


class _Fields:
    """Nested JSON fields by dotted name, with errors that name the file and the field."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path, self._values = path, values

    def get(self, name: str, kind: type) -> Any:
        value: Any = self._values
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise InputError(
                    f"{self.path} has no field {name}: give the reference config that belongs to the weights"
                )
            value = value[part]
        if type(value) is not kind:
            raise self.error(name, value, f"expected a value of type {kind.__name__}")
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        values = self.get(name, list)
        if len(values) != count or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            raise self.error(name, values, f"expected {count} numbers")
        return tuple(map(float, values))

    def triple(self, name: str) -> Triple:
        red, green, blue = self.numbers(name, 3)
        return red, green, blue

    def require(self, name: str, expected: Any, reason: str) -> None:
        value = self.get(name, type(expected))
        if value != expected:
            raise self.error(name, value, f"expected {json.dumps(expected)}, {reason}")

    def error(self, name: str, value: Any, expectation: str) -> InputError:
        return InputError(f"{self.path}: {name} is {json.dumps(value)}, {expectation}")
