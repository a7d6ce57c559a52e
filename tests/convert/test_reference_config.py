import json
from pathlib import Path

import pytest

from spotrust_jax.config import ModelConfig
from spotrust_jax.convert.reference_config import choose_reference_config, read_reference_config
from spotrust_jax.errors import InputError

# The network of the paper, as its reference config describes it.
W48 = {
    "data": {"pop_mean": [0.6, 0.5, 0.4], "pop_std0": [0.1, 0.2, 0.3], "class_weights": [1.0, 7.035]},
    "arch": {
        "config": "HRNet_var",
        "num_classes": 1,
        "image_shape": [3, 480, 640],
        "ALIGN_CORNERS": False,
        "EXTRA": {
            "FINAL_CONV_KERNEL": 1,
            "STAGE1": {"NUM_MODULES": 1, "NUM_BLOCKS": [4], "NUM_CHANNELS": [64]},
            "STAGE2": {"NUM_MODULES": 1, "NUM_BLOCKS": [4] * 2, "NUM_CHANNELS": [48, 96]},
            "STAGE3": {"NUM_MODULES": 4, "NUM_BLOCKS": [4] * 3, "NUM_CHANNELS": [48, 96, 192]},
            "STAGE4": {"NUM_MODULES": 3, "NUM_BLOCKS": [4] * 4, "NUM_CHANNELS": [48, 96, 192, 384]},
        },
    },
}


def edited(field: str, value: object) -> dict:
    """The reference config of the paper with one field changed, or without it where the value is None."""
    reference = json.loads(json.dumps(W48))
    *parents, last = field.split(".")
    section = reference
    for parent in parents:
        section = section[parent]
    section[last] = value
    if value is None:
        del section[last]
    return reference


def write_json(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


def test_reference_config_of_the_paper(tmp_path):
    reference = read_reference_config(write_json(tmp_path / "h.json", W48))
    assert reference.model == ModelConfig("variational", "w48")
    assert (reference.mean, reference.std) == ((0.6, 0.5, 0.4), (0.1, 0.2, 0.3))
    assert (reference.inference_size, reference.positive_weight) == (640, 7.035)


@pytest.mark.parametrize(("name", "variant"), [("HRNet", "deterministic"), ("HRNet_do", "dropout")])
def test_reference_config_names_the_variant(tmp_path, name, variant):
    assert read_reference_config(write_json(tmp_path / "h.json", edited("arch.config", name))).model.variant == variant


def test_reference_config_with_another_width_and_kernel(tmp_path):
    reference = edited("arch.EXTRA.FINAL_CONV_KERNEL", 3)
    for stage in (2, 3, 4):
        reference["arch"]["EXTRA"][f"STAGE{stage}"]["NUM_CHANNELS"] = [5, 10, 20, 40][:stage]
    model = read_reference_config(write_json(tmp_path / "h.json", reference)).model
    assert (model.preset, model.width, model.final_kernel) == ("w18", 5, 3)


def test_reference_config_of_the_small_presets(tmp_path):
    small = {
        "w18_small_v1": ([1], [32], (1, 1, 1), 2, 16),
        "w18_small_v2": ([2], [64], (1, 3, 2), 2, 18),
    }
    for preset, (blocks, channels, modules, per_branch, width) in small.items():
        reference = edited("arch.EXTRA.STAGE1", {"NUM_BLOCKS": blocks, "NUM_CHANNELS": channels})
        for stage, count in zip((2, 3, 4), modules, strict=True):
            reference["arch"]["EXTRA"][f"STAGE{stage}"] = {
                "NUM_MODULES": count,
                "NUM_BLOCKS": [per_branch] * stage,
                "NUM_CHANNELS": [width * 2**branch for branch in range(stage)],
            }
        assert read_reference_config(write_json(tmp_path / "h.json", reference)).model == ModelConfig(
            "variational", preset
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arch.config", "UNet"),
        ("arch.num_classes", 2),
        ("arch.ALIGN_CORNERS", True),
        ("arch.image_shape", [3, 480]),
        ("arch.image_shape", [3, 0, 0]),
        ("arch.EXTRA.FINAL_CONV_KERNEL", 5),
        ("arch.EXTRA.STAGE1.NUM_BLOCKS", [3]),
        ("arch.EXTRA.STAGE3.NUM_MODULES", 5),
        ("arch.EXTRA.STAGE4.NUM_CHANNELS", [48, 96, 192, 400]),
        ("arch.EXTRA.STAGE2.NUM_CHANNELS", ["48"]),
        ("arch.EXTRA.STAGE4.NUM_BLOCKS", [4, 4, 4, 5]),
        ("data.pop_mean", [0.5, 0.5]),
        ("data.pop_mean", "0.5"),
        ("data.class_weights", [1.0, 0.0]),
    ],
)
def test_bad_reference_field_is_named(tmp_path, field, value):
    for reference in (edited(field, value), edited(field, None)):
        path = write_json(tmp_path / "h.json", reference)
        with pytest.raises(InputError) as caught:
            read_reference_config(path)
        assert str(path) in str(caught.value)
        assert field in str(caught.value)
        assert "\n" not in str(caught.value)


def test_zero_std_is_an_error_until_overridden(tmp_path):
    path = write_json(tmp_path / "h.json", edited("data.pop_std0", [0.2, 0.0, 0.2]))
    with pytest.raises(InputError, match=r"pop_std0.*--mean.*--std"):
        read_reference_config(path)
    reference = choose_reference_config(path, None, None, mean=["0.1", "0.2", "0.3"], std=["0.4", "0.5", "0.6"])
    assert (reference.mean, reference.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    with pytest.raises(InputError, match="--std"):
        read_reference_config(path, std=(0.2, 0.0, 0.2))


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_reference_config_that_is_no_json(tmp_path, text):
    (tmp_path / "h.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"h\.json is not"):
        read_reference_config(tmp_path / "h.json")


def test_missing_reference_config(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_reference_config(tmp_path / "none.json")


def test_without_reference_config_the_flags_say_which_network():
    reference = choose_reference_config(None, "w32", "dropout")
    assert reference.model == ModelConfig("dropout", "w32")
    # The statistics that torchvision documents for ImageNet.
    assert (reference.mean, reference.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((None, None, None), "--reference_config"),
        ((None, "w48", None), "--variant"),
        (("h.json", "w48", None), "--preset"),
        ((None, "w49", "dropout"), "w49"),
    ],
)
def test_contradicting_or_missing_flags(arguments, named):
    with pytest.raises(InputError, match=named):
        choose_reference_config(*arguments)


@pytest.mark.parametrize("texts", [["1", "2"], ["a", "b", "c"], ["nan", "1", "1"]])
def test_statistics_must_be_three_numbers(texts):
    with pytest.raises(InputError, match="--mean"):
        choose_reference_config(None, "w48", "dropout", mean=texts)


def test_json_of_endless_depth_is_one_line(tmp_path):
    path = tmp_path / "reference.json"
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not JSON"):
        read_reference_config(path)
