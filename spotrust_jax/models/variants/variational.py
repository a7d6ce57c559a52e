"""Bayesian convolutions at the end of each branch, with a normal posterior of every weight (Nash et al. 2022)."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, DTypeLike, Float, Key, PyTree

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models import initialization
from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.layers import Policy, convolve
from spotrust_jax.models.noise import NoiseKeys, cell_noise
from spotrust_jax.models.variants.variant import BranchNoise, Features, Parts, Sharing, Variant
from spotrust_jax.random import fold_each, normal, stream

_CODE = """stds = [features[f"std_{index}"] for index in range(4)]
random = np.random.default_rng(0)
branches = [x + d * random.standard_normal(x.shape, np.float32) for x, d in zip(branches, stds)]"""


class Variational(Variant):
    """Weights of the last convolution of each branch are drawn from their posterior.

    By local reparameterisation it is the convolution's output that is drawn, at every cell for itself; drawn kernels,
    and drawn kernels with signs that differ from image to image, hold all over an image.
    """

    name = "variational"
    # The reference upsamples noisy branches bicubically, plain ones bilinearly.
    interpolation = "bicubic"
    reference_name = "HRNet_var"

    @property
    def noise(self) -> Sharing:
        """By the estimator."""
        return "cell" if self.model.estimator == "local_reparameterization" else "weights"

    @property
    def coherent(self) -> ModelConfig:
        """Kernels that are drawn."""
        return dataclasses.replace(self.model, estimator="kernel")

    def parts(self, channels: tuple[int, ...], policy: Policy) -> Parts:
        """A Bayesian convolution for each branch."""
        return {"bayesian": [BayesianConv(count, policy) for count in channels]}

    def features(
        self,
        network: nn.Module,
        branches: tuple[FeatureMap, ...],
        log_variance: Float[Array, "batch height width"],
        train: bool,
    ) -> Features:
        """Moments of the convolutions' outputs, or the branches themselves where kernels are drawn."""
        if self.noise == "weights":
            return Features(branches, (), log_variance)
        moments = [layer.moments(x) for layer, x in zip(network.bayesian, branches, strict=True)]
        means, stds = zip(*moments, strict=True)
        return Features(means, stds, log_variance)

    def noisy_branches(self, network: nn.Module, features: Features, keys: NoiseKeys | None) -> tuple[FeatureMap, ...]:
        """The convolutions' outputs at one draw."""
        if self.noise == "weights":
            layers = enumerate(zip(network.bayesian, features.branches, strict=True))
            return tuple(self._drawn(layer, x, keys, branch) for branch, (layer, x) in layers)
        if keys is None:
            return features.branches
        pairs = enumerate(zip(features.branches, features.stds, strict=True))
        return tuple(mean + std * cell_noise(keys.cells, mean, b) for b, (mean, std) in pairs)

    def kl(self, params: PyTree, prior_means: PyTree = ()) -> Float[Array, ""]:
        """Of all Bayesian convolutions, from a normal prior of the configured standard deviation."""
        return variational_kl(params, self.model.prior_std, prior_means)

    def prior_means(self, params: PyTree) -> PyTree:
        """Of all Bayesian convolutions."""
        return bayesian_means(params)

    @property
    def exported_noise(self) -> str:
        """Standard normals times the branches' standard deviations, or kernels."""
        return "normal" if self.noise == "cell" else "kernel"

    def branch_noise(self) -> BranchNoise:
        """Standard normals; an `InputError` where kernels are drawn."""
        if self.noise == "weights":
            raise InputError(
                f"--onnx is not available with model.estimator={self.model.estimator}, which draws weights: leave "
                f"--onnx out"
            )
        draw = lambda ones, keys, branch: cell_noise(keys.cells, ones, branch)  # noqa: E731
        return BranchNoise(draw, _CODE, "Draw the noise anew for each sample.")

    def _drawn(self, layer: "BayesianConv", x: FeatureMap, keys: NoiseKeys | None, branch: int) -> FeatureMap:
        if keys is None:
            return layer.mean(x)
        weights = jax.random.fold_in(keys.weights, branch)
        if self.model.estimator == "kernel":
            return layer.draw(x, weights)
        return layer.flipped(x, weights, fold_each(keys.masks, branch))


class BayesianConv(nn.Module):
    """3x3 convolution with bias whose weights are independent normals, sigma = softplus(rho)."""

    channels: int
    policy: Policy

    def setup(self) -> None:
        """Mean drawn around 0 and rho around -3, both with standard deviation 0.1, as in the reference."""
        kernel, bias = (3, 3, self.channels, self.channels), (self.channels,)
        self.kernel_mean = self.param("kernel_mean", initialization.normal(std=0.1), kernel)
        self.kernel_rho = self.param("kernel_rho", initialization.normal(-3.0, std=0.1), kernel)
        self.bias_mean = self.param("bias_mean", initialization.normal(std=0.1), bias)
        self.bias_rho = self.param("bias_rho", initialization.normal(-3.0, std=0.1), bias)

    def moments(self, x: FeatureMap) -> tuple[FeatureMap, FeatureMap]:
        """Mean and standard deviation of the output at every cell, over draws of the weights."""
        variance = self._convolve(jnp.square(x), nn.softplus(self.kernel_rho) ** 2, nn.softplus(self.bias_rho) ** 2)
        return self.mean(x), jnp.sqrt(variance)

    def mean(self, x: FeatureMap) -> FeatureMap:
        """Output at the mean of the weights."""
        return self._convolve(x, self.kernel_mean, self.bias_mean)

    def draw(self, x: FeatureMap, key: Key[Array, ""]) -> FeatureMap:
        """Output at one draw of the weights."""
        kernel_key, bias_key = jax.random.split(key)
        kernel = self.kernel_mean + nn.softplus(self.kernel_rho) * normal(kernel_key, self.kernel_mean.shape)
        bias = self.bias_mean + nn.softplus(self.bias_rho) * normal(bias_key, self.bias_mean.shape)
        return self._convolve(x, kernel, bias)

    def flipped(self, x: FeatureMap, key: Key[Array, ""], image_keys: Key[Array, "batch"]) -> FeatureMap:
        """Output at one draw of the weights whose signs each image turns by channel (Wen et al. 2018).

        A batch shares the draw, and its images' outputs are uncorrelated all the same, which makes gradients quieter.
        """
        std = nn.softplus(self.kernel_rho) * normal(key, self.kernel_mean.shape)
        turned = [_image_noise(image_keys, name, self.channels, x.dtype) for name in ("inputs", "outputs")]
        signs_in, signs_out = (jnp.where(values > 0, 1, -1).astype(x.dtype) for values in turned)
        bias = nn.softplus(self.bias_rho)[None, None, None] * _image_noise(image_keys, "bias", self.channels, x.dtype)
        none = jnp.zeros_like(self.bias_mean)
        return self.mean(x) + signs_out * self._convolve(x * signs_in, std, none) + bias.astype(x.dtype)

    def _convolve(self, x: FeatureMap, kernel: Float[Array, "3 3 _in _out"], bias: Float[Array, "_out"]) -> FeatureMap:
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=jnp.dtype(self.policy.dtype))
        return convolve(x, kernel) + bias[None, None, None, :]


def _image_noise(
    keys: Key[Array, "batch"], name: str, channels: int, dtype: DTypeLike
) -> Float[Array, "batch 1 1 channels"]:
    """Standard normal numbers, one for each channel of an image."""
    return jax.vmap(lambda key: normal(key, (1, 1, channels), dtype))(stream(keys, name))


def normal_kl(
    mean: Float[Array, "*shape"],
    std: Float[Array, "*shape"],
    prior_std: float,
    prior_mean: Float[Array, "*shape"] | float = 0.0,
) -> Float[Array, ""]:
    """KL(N(mean, std^2) || N(prior_mean, prior_std^2)) in nats, summed over independent weights."""
    ratio = jnp.square(std / prior_std)
    return 0.5 * jnp.sum(ratio + jnp.square((mean - prior_mean) / prior_std) - 1.0 - jnp.log(ratio))


def bayesian_means(params: PyTree) -> PyTree:
    """The posterior means of the Bayesian layers of `params`, by layer and then "kernel_mean" and "bias_mean"."""
    return {
        name: {leaf: values for leaf, values in layer.items() if leaf.endswith("_mean")}
        for name, layer in params.items()
        if name.startswith("bayesian_")
    }


def variational_kl(params: PyTree, prior_std: float, prior_means: PyTree = ()) -> Float[Array, ""]:
    """KL(posterior || prior) in nats, summed over all Bayesian layers of `params`; 0 where there are none.

    The prior's means are 0, or `prior_means` in the shape of `bayesian_means`.
    """
    total = jnp.zeros(())
    for name, means in bayesian_means(params).items():
        for leaf, mean in means.items():
            std = jax.nn.softplus(params[name][leaf.replace("_mean", "_rho")])
            prior_mean = prior_means[name][leaf] if prior_means else 0.0
            total = total + normal_kl(mean, std, prior_std, prior_mean)
    return total
