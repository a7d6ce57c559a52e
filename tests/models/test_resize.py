"""Interpolation against PyTorch, which the reference's weights were trained with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.models.resize import resize, resize_matrix

SIZES = [
    ((8, 8), (16, 16)),
    ((19, 26), (75, 101)),
    ((3, 4), (19, 26)),
    ((1, 1), (8, 8)),
    ((2, 3), (5, 7)),
    ((5, 5), (3, 4)),
]


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_equals_torch(method, source, target):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *source, 3)).astype(np.float32)
    # In float64, because torch computes the weights in the type of the values.
    expected = torch.nn.functional.interpolate(
        torch.tensor(x, dtype=torch.float64).permute(0, 3, 1, 2), size=target, mode=method, align_corners=False
    )
    actual = resize(jnp.asarray(x), target, method)
    np.testing.assert_allclose(actual, expected.permute(0, 2, 3, 1).numpy(), atol=3e-6)


def test_bilinear_midpoints_by_hand():
    x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    # Half-pixel centres: targets lie at -0.25, 0.25, 0.75 and 1.25 of the source, clamped at the ends.
    np.testing.assert_allclose(resize(x, (1, 4), "bilinear")[0, 0, :, 0], [0.0, 1.0, 3.0, 4.0])


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("source", "target"), [((3, 4), (6, 16)), ((1, 1), (8, 8)), ((2, 5), (6, 5)), ((2, 3), (5, 7))]
)
def test_gradient_is_the_transposed_matrices(method, source, target):
    gradient = np.random.default_rng(0).normal(size=(2, *target, 3)).astype(np.float32)
    _, transpose = jax.vjp(lambda x: resize(x, target, method), jnp.zeros((2, *source, 3)))
    rows, columns = (resize_matrix(*sizes, method) for sizes in zip(source, target, strict=True))
    expected = np.einsum("Hh,bHWc,Ww->bhwc", rows, gradient, columns)
    np.testing.assert_allclose(transpose(jnp.asarray(gradient))[0], expected, atol=1e-4)
