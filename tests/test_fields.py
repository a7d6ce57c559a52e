"""Every number of every configuration has a range, and what lies outside is one line that names it."""

import dataclasses
import math
import re
import typing

import pytest

from spotrust_jax.config import (
    AugmentationConfig,
    LossConfig,
    OptimizerConfig,
    PlateauConfig,
    PretrainConfig,
    TrainConfig,
)
from spotrust_jax.errors import InputError
from spotrust_jax.fields import Range, describe, from_dict, ranges_of, to_dict


def _sections(kind, path=()):
    """The data classes of a configuration and where they are in it."""
    yield path, kind
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from _sections(hint, (*path, name))


def _numbers(hint):
    """The kinds of numbers that a field holds."""
    return {hint} & {int, float} | {number for part in typing.get_args(hint) for number in _numbers(part)}


FIELDS = [
    (whole, path, name)
    for whole in (TrainConfig, PretrainConfig)
    for path, kind in _sections(whole)
    for name, hint in typing.get_type_hints(kind).items()
    if _numbers(hint) and typing.get_origin(hint) is not typing.Literal
]


def _outside(declared: Range, like):
    """Values that a range must refuse, in the shape of the field's own."""
    whole = isinstance(like[0], int)
    tiny = 1 if whole else 1e-9
    values = [declared.least if declared.above else declared.least - tiny] if math.isfinite(declared.least) else []
    values += [declared.most if declared.below else declared.most + tiny] if math.isfinite(declared.most) else []
    values += [] if whole else [math.nan, math.inf, -math.inf]
    return [int(value) if whole else float(value) for value in values]


@pytest.mark.parametrize(("whole", "path", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", None))
def test_every_number_has_a_range_and_what_is_outside_is_one_line(whole, path, name):
    kind = dict(_sections(whole))[path]
    assert name in ranges_of(kind), f"{kind.__name__}.{name} declares no range"
    default = getattr(kind(), name)
    shape = default if isinstance(default, tuple) else (default,)
    shape = shape or (0.5, 0.5, 0.5)  # channel statistics that are not given
    outside = _outside(ranges_of(kind)[name], shape)
    assert outside
    for value in outside:
        wrong = (*shape[:-1], value) if isinstance(default, tuple) else value
        values = {name: wrong}
        for section in reversed(path):
            values = {section: values}
        with pytest.raises(InputError, match=re.escape(".".join((*path, name)))) as caught:
            from_dict(whole, values)
        assert re.search(": (give|choose) ", str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainConfig(batch_size=0), "batch_size is 0: give a whole number from 1 up"),
        (lambda: TrainConfig(members=0), "members is 0: give a whole number from 1 to 1000"),
        (lambda: TrainConfig(epochs=0), "epochs is 0: give a whole number from 1 up"),
        (lambda: TrainConfig(validation_samples=-1), "validation_samples is -1: give a whole number from 1 up"),
        (lambda: PlateauConfig(factor=1.5), "plateau.factor is 1.5: give a number above 0 and below 1"),
        (lambda: PlateauConfig(patience=-1), "plateau.patience is -1: give a whole number from 0 up"),
        (lambda: OptimizerConfig(momentum=1.0), "optimizer.momentum is 1.0: give a number from 0 to below 1"),
        (lambda: OptimizerConfig(learning_rate=0.0), "optimizer.learning_rate is 0.0: give a finite number above 0"),
        (lambda: AugmentationConfig(scale=(0.5, 2.0)), "give a smallest and a largest above 0 and up to 1"),
        (
            lambda: AugmentationConfig(ratio=(2.0, 0.5)),
            "ratio is (2.0, 0.5): give a smallest and a largest above 0",
        ),
        (lambda: AugmentationConfig(crop_size=(480, 0)), "crop_size is (480, 0): give pixels from 32 to 8192"),
        (lambda: LossConfig(noise_samples=0), "loss.noise_samples is 0: give a whole number from 1 up"),
    ],
)
def test_messages_say_what_to_give(make, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(("whole", "path", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("number", [10**400, -(10**400), 10**5000], ids=["huge", "negative", "not written"])
def test_number_beyond_all_floats_is_one_line(whole, path, name, number):
    kind = dict(_sections(whole))[path]
    default = getattr(kind(), name)
    shape = (default or (0.5,) * 3) if isinstance(default, tuple) else ()
    wrong = (*shape[:-1], number) if isinstance(default, tuple) else number
    values = {name: wrong}
    for section in reversed(path):
        values = {section: values}
    with pytest.raises(InputError, match=name) as caught:
        from_dict(whole, values)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_every_field_is_documented_in_one_line():
    for config in (TrainConfig(), PretrainConfig()):
        for field in describe(config):
            assert field.meaning.endswith((".", ".)")) and "\n" not in field.meaning, field.path
    described = {field.path: field for field in describe(TrainConfig())}
    assert described["optimizer.momentum"].values == "a number from 0 to below 1"
    assert described["batch_size"][1:3] == ("4", "a whole number from 1 up")
    assert described["data.source"][1:3] == ('"folder"', '"folder", "scenes"')
    assert described["data.mean"].values == "three numbers from 0 to 1, or ()"


def test_limits_themselves_are_in_or_out_as_declared():
    assert PlateauConfig(factor=0.999, threshold=0.0, patience=0).factor == 0.999
    assert AugmentationConfig(scale=(1.0, 1.0), hue=0.5, flip=0.0).scale == (1.0, 1.0)
    assert from_dict(TrainConfig, to_dict(TrainConfig(seed=2**31 - 1))).seed == 2**31 - 1
