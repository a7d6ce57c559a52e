"""Shapes and precisions of whole networks, by abstract evaluation: nothing is compiled."""

import jax
import jax.numpy as jnp
import pytest

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.presets import PRESETS
from spotrust_jax.models.segmenter import build_network


def _outputs(config: ModelConfig, height: int, width: int):
    """Shapes and types of features and logits of two images, and of the variables that give them."""

    def both(network, images, keys):
        features = network.features(images)
        return features, network.decode(features, keys)

    def traced(key, images):
        keys = NoiseKeys(key, *[jax.random.split(key, 2)] * 2)
        return build_network(config).init_with_output(key, images, keys, method=both)

    images = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
    (features, logits), variables = jax.eval_shape(traced, jax.random.key(0), images)
    return features, logits, variables


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_has_branches_from_a_quarter_down(preset):
    features, logits, _ = _outputs(ModelConfig("deterministic", preset), 96, 128)
    width = PRESETS[preset].width
    expected = [(2, 96 // 2**k, 128 // 2**k, width * 2 ** (k - 2)) for k in (2, 3, 4, 5)]
    assert [branch.shape for branch in features.branches] == expected
    assert logits.shape == features.log_variance.shape == (2, 96, 128)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (75, 101), (64, 32)])
@pytest.mark.parametrize("variant", ["variational", "dropout"])
def test_output_is_exactly_input_size(variant, height, width):
    features, logits, _ = _outputs(ModelConfig(variant, "w18_small_v1", width=4), height, width)
    assert logits.shape == features.log_variance.shape == (2, height, width)


@pytest.mark.parametrize("estimator", ["local_reparameterization", "kernel"])
def test_bfloat16_computes_in_it_and_keeps_parameters_and_outputs_in_float32(estimator):
    config = ModelConfig("variational", "w18_small_v1", width=4, estimator=estimator, dtype="bfloat16")
    features, logits, variables = _outputs(config, 64, 64)
    assert {branch.dtype for branch in features.branches} == {jnp.dtype("bfloat16")}
    assert logits.dtype == features.log_variance.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
