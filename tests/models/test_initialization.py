import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from scipy import stats

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.initialization import initial_values
from spotrust_jax.models.layers import Conv, Policy
from spotrust_jax.models.segmenter import initial_variables, variable_shapes

KEY = jax.random.key(3)


def _flat(config: ModelConfig, key=KEY) -> dict[str, np.ndarray]:
    return flatten_dict(initial_variables(config, key), sep="/")


@pytest.fixture(scope="module")
def variational():
    return _flat(ModelConfig("variational", "w18_small_v1"))


def test_kernels_are_normal_with_the_deviation_of_he(variational):
    """And independent from one kernel to the next of the same shape."""
    kernels = {name: leaf for name, leaf in variational.items() if name.endswith("conv/kernel")}
    standardised = []
    for leaf in kernels.values():
        fan_out = leaf.shape[0] * leaf.shape[1] * leaf.shape[3]
        standardised.append(leaf.ravel() / np.sqrt(2 / fan_out))
    assert stats.kstest(np.concatenate(standardised)[::7], "norm").pvalue > 0.01
    alike = [leaf.ravel() for leaf in kernels.values() if leaf.shape == (3, 3, 64, 64)]
    assert len(alike) > 4 and np.abs(np.corrcoef(alike) - np.eye(len(alike))).max() < 0.03


def test_a_variable_depends_on_the_key_and_its_name_alone(variational):
    deterministic = _flat(ModelConfig("deterministic", "w18_small_v1"))
    assert deterministic.keys() < variational.keys()
    for name, leaf in deterministic.items():
        np.testing.assert_array_equal(leaf, variational[name], err_msg=name)
    other = _flat(ModelConfig("deterministic", "w18_small_v1"), jax.random.key(4))
    assert all((other[name] != leaf).all() for name, leaf in deterministic.items() if name.endswith("kernel"))


def test_variables_have_the_declared_shapes_and_batch_norm_begins_as_the_identity(variational):
    shapes = flatten_dict(variable_shapes(ModelConfig("variational", "w18_small_v1")), sep="/")
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in variational.items()} == {
        name: (shape.shape, shape.dtype) for name, shape in shapes.items()
    }
    for name, leaf in variational.items():
        if "/norm/" in name:
            np.testing.assert_array_equal(leaf, float(name.endswith(("scale", "var"))), err_msg=name)


def test_drawing_compiles_nothing():
    """Beyond what folds a name into a key, which the first draw compiles."""
    compiled = []

    def listen(event: str, *_, **__) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    initial_values(Conv(3, 1, Policy()), KEY, jnp.zeros((1, 4, 4, 3)))
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.jit(lambda x: x + 17)(1.0)
        assert len(compiled) == 1
        initial_variables(ModelConfig("variational", "w18_small_v1", width=6), KEY)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(compiled) == 1


def test_a_layer_with_a_plain_initialiser_is_named():
    with pytest.raises(TypeError, match="params/bias has a plain initialiser: declare it by"):
        initial_values(nn.Dense(3), KEY, jnp.zeros((1, 2)))
