"""A sixth variant, registered here alone: it trains, predicts, says how sure areas are, and is exported.

docs/adding_a_variant.md shows its code. The backbone is a small one, so that all of it compiles in seconds.
"""

import inspect
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import spotrust_jax
from spotrust_jax.config import AugmentationConfig, DataConfig, ModelConfig, OptimizerConfig, RunConfig, TrainConfig
from spotrust_jax.errors import InputError
from spotrust_jax.export.bundle import read_description, write_bundle
from spotrust_jax.export.verify import verify
from spotrust_jax.inference.analysis import Analysis, analyse
from spotrust_jax.inference.area_interval import area_interval, coherent, has_coherent_samples, has_draws
from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.initialization import initial_values, normal
from spotrust_jax.models.layers import Conv, Policy, convolve
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.variants.registry import VARIANTS, variant_of
from spotrust_jax.models.variants.variant import Features, Parts, Sharing, Variant
from spotrust_jax.training.loop import train
from spotrust_jax.training.state import initial_state
from tests.training.small_network import use_it

REPOSITORY = Path(__file__).parents[2]


class RankOneConv(nn.Module):
    """3x3 convolution whose kernel all members share, times a factor for each member and channel, on either side."""

    channels: int
    members: int
    policy: Policy

    @nn.compact
    def __call__(self, x: FeatureMap, shares: Float[Array, "batch members"]) -> FeatureMap:
        """Output for each image by its shares of the members' factors: 1 for the member that was drawn."""
        shape = (self.members, self.channels)
        factors = [self.param(name, normal(1.0, std=0.5), shape) for name in ("incoming", "outgoing")]
        incoming, outgoing = ((shares @ values)[:, None, None].astype(x.dtype) for values in factors)
        return outgoing * Conv(self.channels, 3, self.policy, name="shared")(incoming * x)


class BatchEnsemble(Variant):
    """Members that differ by rank-one factors on the kernels at the end of each branch (Wen et al. 2020)."""

    name = "batch_ensemble"
    members = 4

    @property
    def noise(self) -> Sharing:
        """A sample draws a member for each image, and the same one at all of its cells."""
        return "image"

    def parts(self, channels: tuple[int, ...], policy: Policy) -> Parts:
        """A convolution for each branch."""
        return {"rank_one": [RankOneConv(count, self.members, policy) for count in channels]}

    def noisy_branches(self, network: nn.Module, features: Features, keys: NoiseKeys | None) -> tuple[FeatureMap, ...]:
        """The branches of the drawn members; without keys, by the mean of the factors."""
        shares = jnp.full((features.branches[0].shape[0], self.members), 1 / self.members)
        if keys is not None:
            drawn = jax.vmap(lambda key: jax.random.randint(key, (), 0, self.members))(keys.masks)
            shares = jax.nn.one_hot(drawn, self.members)
        return tuple(layer(x, shares) for layer, x in zip(network.rank_one, features.branches, strict=True))


def _config():
    """A run of a few steps; only where the variant is registered."""
    return TrainConfig(
        model=ModelConfig("batch_ensemble", "w18_small_v1", width=4),
        data=DataConfig(source="scenes", image_size=64, scenes=(16, 2)),
        augmentation=AugmentationConfig(crop_size=(64, 64)),
        optimizer=OptimizerConfig("adam", 0.03),
        run=RunConfig(checkpoint_steps=0, panel_epochs=0),
        batch_size=4,
        epochs=2,
        validation_samples=2,
    )


@pytest.fixture(scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, BatchEnsemble.name, BatchEnsemble)
        use_it(patch.setattr)
        yield


@pytest.fixture(scope="module")
def trained(registered, tmp_path_factory):
    run_directory = tmp_path_factory.mktemp("batch_ensemble")
    train(_config(), run_directory, jax.devices()[:1])
    return spotrust_jax.load(run_directory / "best")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_documentation_shows_this_variant():
    page = (REPOSITORY / "docs" / "adding_a_variant.md").read_text()
    assert all(inspect.getsource(shown) in page for shown in (RankOneConv, BatchEnsemble))


def test_a_member_is_a_convolution_by_the_kernel_times_its_factors():
    layer, x = RankOneConv(3, 2, Policy()), jax.random.normal(jax.random.key(0), (2, 5, 5, 3))
    params = initial_values(layer, jax.random.key(1), x, jnp.eye(2))["params"]
    found = layer.apply({"params": params}, x, jnp.eye(2))
    for member in range(2):
        factors = jnp.outer(params["incoming"][member], params["outgoing"][member])
        kernel = params["shared"]["kernel"] * factors[None, None]
        np.testing.assert_allclose(found[member], convolve(x[member : member + 1], kernel)[0], atol=1e-5)


def test_training_changes_its_parts(trained):
    start, end = initial_state(_config()).variables["params"], trained.variables["params"]
    for branch in range(4):
        for name in ("incoming", "outgoing"):
            before, after = start[f"rank_one_{branch}"][name], end[f"rank_one_{branch}"][name]
            assert np.shape(after) == (1, 4, 4 * 2**branch)
            assert np.abs(after - before).max(axis=(0, 2)).min() > 1e-3, "a member has not learnt"


def test_samples_are_its_members_and_hold_all_over_a_photograph(trained, image):
    config = trained.config
    assert has_draws(config) and has_coherent_samples(config) and coherent(trained) is trained
    predicted = trained.predict(image, num_samples=40, scale="native")
    assert predicted.epistemic.max() > 0
    threshold = float(np.median(predicted.probability))
    areas = analyse(trained, image, Analysis(None, 40), area_threshold=threshold).areas
    assert areas.shape == (40,) and 1 < len(np.unique(areas)) <= BatchEnsemble.members
    interval = area_interval(areas)
    assert interval.draws == 40 and 0 <= interval.low < interval.high <= 1


def test_its_bundle_gives_the_same_maps_without_the_library(trained, image, tmp_path, compilation_cache):
    write_bundle(trained, tmp_path / "bundle", onnx=False)
    assert read_description(tmp_path / "bundle").noise == "image"
    differences = verify(tmp_path / "bundle", [image])
    assert {difference.kind for difference in differences} == {"probability", "epistemic", "log_variance"}
    assert all(difference.within for difference in differences), differences


def test_the_form_that_it_does_not_have_is_refused_in_a_line(registered):
    with pytest.raises(InputError, match=r"--onnx is not available with model\.variant=batch_ensemble") as caught:
        variant_of(_config().model).branch_noise()
    assert "\n" not in str(caught.value)
