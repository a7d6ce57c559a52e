"""The networks against numbers that the paper's own code produced from the same weights.

How close is close? The reference numbers were computed in float32, and the network amplifies rounding: weights changed
by a random half unit in the last place move its branches by up to 3e-4 and its logits by 7e-5. Exact results (PyTorch
and this project in float64 agree to 1e-10) are up to 5.8e-4 away from the reference's branches, whose values reach 42,
and up to 7.6e-5 from its logits; PyTorch in float32 on another processor is up to 1.2e-3 and 1.6e-4 away. So the
networks are checked in float64, where only the reference's own rounding is left: logits and log variances to 1e-4,
branches to 2e-5 of their largest value. In float32, which users run, the bounds leave room for as much rounding again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.config import ModelConfig
from spotrust_jax.convert.pytorch import convert_state
from spotrust_jax.convert.reference_config import read_reference_config
from spotrust_jax.io.weight_files import read_state
from spotrust_jax.models.fast import row_blocks
from spotrust_jax.models.fast.folding import fold_norms
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.segmenter import Features, Variables, build_network
from spotrust_jax.sampling.passes import sample_keys

VARIANTS = ("deterministic", "dropout", "variational")
SIZES = ("even", "odd")
PASSES = 4000


class Released(NamedTuple):
    """One released weight file: its tensors as they are, and converted."""

    state: dict[str, np.ndarray]
    config: ModelConfig
    variables: Variables


class Outputs(NamedTuple):
    """What a network says without noise, in the precision it was computed in."""

    features: Features
    logit: np.ndarray


@pytest.fixture(scope="session")
def reference(golden: Path) -> Mapping[str, np.ndarray]:
    return np.load(golden / "golden.npz")


@pytest.fixture(scope="session")
def released(golden: Path) -> dict[str, Released]:
    return {variant: read_released(golden, variant) for variant in VARIANTS}


@pytest.fixture(scope="session")
def exact(released: dict[str, Released], reference: Mapping[str, np.ndarray]) -> dict[tuple[str, str], Outputs]:
    with jax.enable_x64(True):
        return {
            (variant, size): outputs(released[variant], reference[f"input_{size}"], "float64")
            for variant in VARIANTS
            for size in SIZES
        }


@pytest.fixture(scope="session")
def single(released: dict[str, Released], reference: Mapping[str, np.ndarray]) -> dict[str, Outputs]:
    return {variant: outputs(released[variant], reference["input_even"], "float32") for variant in VARIANTS}


def read_released(golden: Path, variant: str) -> Released:
    # Where the states are PyTorch's, torch reads them.
    (path,) = (path for path in golden.glob(f"{variant}.*") if path.suffix in (".state", ".safetensors"))
    if path.suffix == ".state":
        pytest.importorskip("torch")
    state = read_state(path).tensors
    config = read_reference_config(golden / f"{variant}.hypes.json").model
    return Released(state, config, convert_state(state, config, jax.random.key(0)).variables)


def outputs(model: Released, images: np.ndarray, dtype: str) -> Outputs:
    # Called without jit, every kind of layer is compiled once, in a third of the time that the whole network takes.
    network = build_network(model.config, Policy(dtype=dtype))
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), model.variables)
    features = network.apply(variables, jnp.asarray(images, dtype), method="features")
    return Outputs(features, np.asarray(network.apply(variables, features, method="decode")))


def gap(actual: jax.Array, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(actual, np.float64) - expected).max())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", SIZES)
def test_maps_match_reference(variant, size, exact, reference):
    found = exact[variant, size]
    assert gap(found.logit, reference[f"{variant}_{size}_logit_mean_weights"][..., 0]) < 1e-4
    assert gap(found.features.log_variance, reference[f"{variant}_{size}_log_variance"][..., 0]) < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_branches_match_reference(size, exact, reference):
    branches = exact["deterministic", size].features.branches
    for index, branch in enumerate(branches):
        expected = reference[f"deterministic_{size}_branch{index}"]
        # 1e-4 absolute is less than the reference's own rounding, see above; measured 0.7e-5 to 1.6e-5 of the scale.
        assert gap(branch, expected) < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", SIZES)
def test_matches_pytorch_in_double_precision(variant, size, exact, released, reference):
    pytest.importorskip("torch")
    from tests import torch_hrnet

    state = torch_hrnet.double(released[variant].state)
    images = reference[f"input_{size}"]
    branches, logit, log_variance = torch_hrnet.evaluate(state, images, bicubic=variant != "deterministic")
    found = exact[variant, size]
    if variant == "deterministic":
        assert all(gap(ours, theirs) < 1e-10 for ours, theirs in zip(found.features.branches, branches, strict=True))
    # The last interpolation is computed in float32 whatever comes before it.
    assert gap(found.logit, logit) < 2e-6
    assert gap(found.features.log_variance, log_variance) < 2e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_network_is_the_same(variant, exact, released, reference):
    model = released[variant]
    network = build_network(model.config, Policy("float64", folded=True))
    with jax.enable_x64(True):
        variables = fold_norms(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), model.variables))
        features = network.apply(variables, jnp.asarray(reference["input_even"]), method="features")
        assert row_blocks.fits(features.branches)
        logit = network.apply(variables, features, method="decode")
    assert gap(logit, exact[variant, "even"].logit) < 2e-6
    assert gap(features.log_variance, exact[variant, "even"].features.log_variance) < 2e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_single_precision_stays_near_reference(variant, single, reference):
    found, logit = single[variant], reference[f"{variant}_even_logit_mean_weights"][..., 0]
    assert gap(found.features.log_variance, reference[f"{variant}_even_log_variance"][..., 0]) < 1e-4
    # Measured: logits up to 1.0e-4, or 4e-5 of the largest; branches up to 6.1e-4, or 2.1e-5 of the largest.
    assert gap(found.logit, logit) < 1e-4 * np.abs(logit).max()
    if variant == "deterministic":
        for index, branch in enumerate(found.features.branches):
            expected = reference[f"{variant}_even_branch{index}"]
            assert gap(branch, expected) < 5e-5 * np.abs(expected).max()


@pytest.mark.parametrize("variant", ["dropout", "variational"])
def test_passes_have_reference_moments(variant, single, released, reference):
    for kind, (mean, std) in sample_moments(released[variant], single[variant].features).items():
        expected_mean = reference[f"{variant}_even_mc_{kind}_mean"][..., 0]
        expected_std = reference[f"{variant}_even_mc_{kind}_std"][..., 0]
        # Both sides are estimates from 4,000 passes.
        within = np.abs(mean - expected_mean) < 5 * expected_std * np.sqrt(2 / PASSES) + 1e-6
        assert within.mean() >= 0.999
        ratio = std / expected_std
        assert abs(np.median(ratio) - 1) < 0.02
        assert (np.abs(ratio - 1) < 0.1).mean() >= 0.999


def sample_moments(model: Released, features: Features) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of logit and probability over passes, accumulated in float64."""
    decode, sums = pass_decoder(model.config), {}
    for start in range(0, PASSES, 200):
        samples = jnp.arange(start, start + 200)
        logits = np.asarray(decode(model.variables, features, samples), np.float64)
        for kind, values in (("logit", logits), ("prob", 1 / (1 + np.exp(-logits)))):
            sums[kind] = sums.get(kind, 0.0) + np.stack([values.sum(0), (values**2).sum(0)])
    return {kind: moments(total / PASSES) for kind, total in sums.items()}


def moments(averages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, mean_square = averages
    return mean, np.sqrt(mean_square - mean**2)


def pass_decoder(config: ModelConfig) -> Callable[[Variables, Features, jax.Array], jax.Array]:
    """Logits [passes, batch, height, width] of the passes of the given numbers."""
    network = build_network(config)

    @jax.jit
    def decode(variables: Variables, features: Features, samples: jax.Array) -> jax.Array:
        image_keys = jax.random.split(jax.random.key(0), features.log_variance.shape[0])

        def one(sample: jax.Array) -> jax.Array:
            return network.apply(variables, features, sample_keys(image_keys, sample), method="decode")

        return jax.lax.map(one, samples, batch_size=4)

    return decode
