"""ONNX files against the network with the same noise, at a size and a batch that the graphs were not traced with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.fast.folding import folded_network
from spotrust_jax.models.segmenter import normalize
from spotrust_jax.random import content_keys, fold_each
from spotrust_jax.sampling.passes import sample_keys

pytest.importorskip("onnx", reason="needs the package onnx, which is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime, which is not installed")


def test_halves_of_every_member_equal_the_network(ensemble, images, tmp_path):
    from spotrust_jax.export.encoder_decoder import first_noise
    from spotrust_jax.export.onnx_files import write_onnx

    names = write_onnx(ensemble, tmp_path)
    assert names == ["features_0.onnx", "decode_0.onnx", "features_1.onnx", "decode_1.onnx"]
    keys = content_keys(jax.random.key(7), images)
    expected = jax.jit(folded_network(ensemble.config.model).apply)
    normal = normalize(jnp.asarray(images) / 255.0, ensemble.config.mean, ensemble.config.std)
    noise = [first_noise(ensemble.config.model, keys[i : i + 1], 64, 96) for i in range(len(images))]
    for member in range(2):
        first, second = (onnxruntime.InferenceSession(tmp_path / name) for name in names[2 * member :][:2])
        outputs = [output.name for output in first.get_outputs()]
        features = dict(zip(outputs, first.run(None, {"images": images}), strict=True))
        branches = {}
        for index in range(4):
            drawn = np.concatenate([one[index] for one in noise]).transpose(0, 3, 1, 2)
            branches[f"branch_{index}"] = features[f"branch_{index}"] + features[f"std_{index}"] * drawn
        (logits,) = second.run(None, branches)
        variables = jax.tree.map(lambda leaf, m=member: leaf[m], ensemble.folded)
        wanted, log_variance = expected(variables, normal, sample_keys(fold_each(keys, 0), 0))
        assert 0.3 < np.std(wanted) < 10
        np.testing.assert_allclose(logits, wanted, atol=1e-4)
        np.testing.assert_allclose(features["log_variance"], log_variance, atol=1e-4)
