from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from spotrust_jax.checkpoints import CheckpointConfig, load_model, save_model
from spotrust_jax.config import ModelConfig
from spotrust_jax.convert.pytorch import convert_files, convert_state
from spotrust_jax.convert.reference_config import read_reference_config
from spotrust_jax.errors import InputError
from spotrust_jax.io.weight_files import read_state
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.segmenter import build_network, variable_shapes
from tests.hrnet_state import random_state

KEY = jax.random.key(0)
SMALL = ModelConfig("deterministic", "w18_small_v1", width=4)
VARIATIONAL = ModelConfig("variational", "w18_small_v1", width=4)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return random_state("w18_small_v1", 4, seed=0)


def write_safetensors(path: Path, state: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(state, path)
    return path


def assert_trees_equal(found: dict, expected: dict) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def learned(state: dict[str, np.ndarray]) -> set[str]:
    """Names of all but batch norm's step counters."""
    return {name for name in state if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize(("variant", "count"), [("deterministic", 65_889_602), ("variational", 69_416_162)])
def test_parameter_count_of_the_paper(variant, count):
    parameters = variable_shapes(ModelConfig(variant, "w48"))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == count


def test_every_tensor_is_accounted_for(state):
    account = convert_state(state, SMALL, KEY).account
    assert set(account.matched) == learned(state)
    assert set(account.unused) == state.keys() - learned(state)
    assert account.missing == account.reshaped == account.unexpected == []
    assert account.summary().startswith(f"{len(account.matched)} tensors matched, 0 missing, 0 of another shape")


def test_kernels_are_transposed_and_vectors_kept(state):
    variables = convert_state(state, SMALL, KEY).variables
    params, statistics = variables["params"], variables["batch_stats"]
    kernel = params["backbone"]["transition2"]["branch1"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel[2, 0, 5, 7], state["transition1.1.0.0.weight"][7, 5, 2, 0])
    np.testing.assert_array_equal(params["head"]["norm"]["scale"], state["last_layer.1.weight"])
    np.testing.assert_array_equal(statistics["head"]["norm"]["var"], state["last_layer.1.running_var"])


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_prefixes_make_no_difference(state, prefix):
    prefixed = {prefix + name: tensor for name, tensor in state.items()}
    assert_trees_equal(convert_state(prefixed, SMALL, KEY).variables, convert_state(state, SMALL, KEY).variables)


def test_tensors_of_imagenet_classification_are_of_no_use(state):
    extra = ("incre_modules.0.0.conv1.weight", "downsamp_modules.1.1.bias", "final_layer.0.weight", "classifier.bias")
    account = convert_state({**state, **{name: np.ones(3, np.float32) for name in extra}}, SMALL, KEY).account
    assert set(extra) <= set(account.unused)
    assert account.unexpected == []


def test_unknown_tensors_are_counted(state):
    account = convert_state({**state, "auxiliary.weight": np.ones(3, np.float32)}, SMALL, KEY).account
    assert account.unexpected == ["auxiliary.weight"]
    assert "1 unexpected" in account.summary()


def test_missing_tensor_is_an_error_with_its_name(state):
    del (partial := dict(state))["stage3.0.fuse_layers.2.0.1.1.bias"]
    with pytest.raises(InputError, match=r"file\.pt.*1 missing.*stage3\.0\.fuse_layers\.2\.0\.1\.1\.bias is missing"):
        convert_state(partial, SMALL, KEY, name="file.pt")


def test_other_shape_is_an_error_with_both_shapes(state):
    other = {**state, "last_layer.3.weight": np.ones((19, 60, 1, 1), np.float32)}
    with pytest.raises(InputError, match=r"1 of another shape.*has shape \(1, 1, 60, 19\), not \(1, 1, 60, 1\)"):
        convert_state(other, SMALL, KEY)


def test_variational_file_is_not_taken_for_another_variant():
    with pytest.raises(InputError, match="bayesConv"):
        convert_state(random_state("w18_small_v1", 4, seed=0, bayesian=True), SMALL, KEY)


def test_allowed_parts_are_drawn_and_the_rest_is_filled(state):
    # Weights of classification: no head, no aleatoric network, no variational layers.
    backbone = {name: array for name, array in state.items() if not name.startswith(("last_layer", "var_layer"))}
    found = convert_state(backbone, VARIATIONAL, KEY, allow_missing=["head", "bayesian", "aleatoric"])
    params = found.variables["params"]
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(found.variables))
    assert set(found.account.matched) == learned(backbone)
    # As in the reference: rho around -3 with standard deviation 0.1; batch norm starts as the identity.
    rho = params["bayesian_3"]["kernel_rho"]
    assert abs(rho.mean() + 3) < 0.01
    assert abs(rho.std() - 0.1) < 0.01
    np.testing.assert_array_equal(found.variables["batch_stats"]["head"]["norm"]["var"], np.ones(60))
    np.testing.assert_array_equal(
        params["backbone"]["stem"]["unit1"]["conv"]["kernel"], state["conv1.weight"].transpose(2, 3, 1, 0)
    )


def test_allowing_one_part_allows_no_other(state):
    partial = {name: array for name, array in state.items() if not name.startswith(("last_layer", "layer1"))}
    with pytest.raises(InputError, match=r"layer1\.0\.downsample\.1\.running_mean is missing"):
        convert_state(partial, SMALL, KEY, allow_missing=["head"])


def test_unknown_part_is_an_error(state):
    with pytest.raises(InputError, match="--allow_missing=backbone"):
        convert_state(state, SMALL, KEY, allow_missing=["backbone"])


def test_several_files_are_members_in_their_order(tmp_path):
    states = [random_state("w18_small_v1", 4, seed=seed) for seed in range(3)]
    paths = [write_safetensors(tmp_path / f"fold{i}.safetensors", states[i]) for i in (2, 0, 1)]
    lines: list[str] = []
    variables, untrained = convert_files(paths, SMALL, KEY, report=lines.append)
    assert untrained == ()
    bias = variables["params"]["head"]["logit"]["bias"]
    np.testing.assert_array_equal(bias, np.stack([states[i]["last_layer.3.bias"] for i in (2, 0, 1)]))
    assert [line.split(":")[0] for line in lines] == [str(path) for path in paths]


def test_members_draw_what_is_missing_differently(tmp_path, state):
    headless = {name: array for name, array in state.items() if not name.startswith("last_layer")}
    paths = [write_safetensors(tmp_path / "w.safetensors", headless)] * 2
    allowed = ["head", "aleatoric"]
    variables, untrained = convert_files(paths, SMALL, KEY, allow_missing=allowed, report=lambda line: None)
    # The file has an aleatoric network, which need not have been allowed to be missing.
    assert untrained == ("head",)
    first, second = variables["params"]["head"]["mix"]["kernel"]
    assert np.abs(first - second).max() > 0.01


def test_released_file_becomes_a_checkpoint_of_the_same_numbers(tmp_path, golden):
    pytest.importorskip("torch")
    reference = read_reference_config(golden / "variational.hypes.json")
    lines: list[str] = []
    variables, untrained = convert_files([golden / "variational.state"], reference.model, KEY, report=lines.append)
    assert "ignored: epoch, score, optimizer" in lines[0] and untrained == ()
    config = CheckpointConfig(
        reference.model, 1, reference.mean, reference.std, reference.inference_size, reference.positive_weight
    )
    save_model(tmp_path / "model", variables, config)
    restored, restored_config = load_model(tmp_path / "model")
    assert restored_config == config
    assert_trees_equal(restored, variables)
    released = read_state(golden / "variational.state").tensors
    total = sum(tensor.size for name, tensor in released.items() if not name.endswith("num_batches_tracked"))
    assert sum(leaf.size for leaf in jax.tree.leaves(restored)) == total


@pytest.mark.parametrize(("preset", "size"), [("w18_small_v1", (64, 64)), ("w18_small_v2", (75, 101))])
def test_converted_network_equals_pytorch(preset, size):
    pytest.importorskip("torch")
    from tests import torch_hrnet

    state = random_state(preset, 4, seed=1)
    images = np.random.default_rng(2).normal(size=(1, *size, 3))
    branches, logit, log_variance = torch_hrnet.evaluate(torch_hrnet.double(state), images, bicubic=False)
    config = ModelConfig("deterministic", preset, width=4)
    converted = convert_state(state, config, KEY).variables
    with jax.enable_x64(True):
        network = build_network(config, Policy(dtype="float64"))
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float64"), converted)
        features = network.apply(variables, jnp.asarray(images), method="features")
        found = network.apply(variables, features, method="decode")
    for ours, theirs in zip(features.branches, branches, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11 * np.abs(theirs).max())
    # The last interpolation is computed in float32 whatever comes before it.
    np.testing.assert_allclose(found, logit, atol=1e-6 * np.abs(logit).max())
    np.testing.assert_allclose(features.log_variance, log_variance, atol=1e-6 * np.abs(log_variance).max())
