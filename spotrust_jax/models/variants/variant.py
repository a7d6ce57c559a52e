"""What a variant of the network declares; all other modules ask these declarations, and none knows a variant's name."""

import dataclasses
import re
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float, PyTree

from spotrust_jax.config import ModelConfig
from spotrust_jax.errors import InputError
from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.layers import Policy
from spotrust_jax.models.noise import NoiseKeys
from spotrust_jax.models.presets import architecture
from spotrust_jax.models.resize import Interpolation

Sharing = Literal["none", "cell", "image", "weights"]
"""What shares a draw of the noise. "none": there is no noise, all samples are the same. "cell": every cell has its own,
so that noise averages out over an area, and each tile has its own. "image": a draw holds all over an image, and each
image of a batch has its own. "weights": kernels of convolutions are drawn; images of a batch then go through the
network one after the other, since a batch of kernels is a slow grouped convolution."""

Parts = dict[str, nn.Module | list[nn.Module]]


class Features(NamedTuple):
    """What all samples of an image share.

    Attributes:
        branches: what a sample starts from, finest first: the backbone's four outputs, or what the variant makes of
            them.
        stds: standard deviations of normal noise on them, where the variant has such, else empty.
        log_variance: the aleatoric log variance at the image's size; of the noise on the logit where there is such.
    """

    branches: tuple[FeatureMap, ...]
    stds: tuple[FeatureMap, ...]
    log_variance: Float[Array, "batch height width"]


class BranchNoise(NamedTuple):
    """Noise on the branches, for programs without this library, which draw it between encoder and decoder.

    Attributes:
        draw: from a branch of ones, the keys of a sample and the number of the branch, what a sample adds to the branch
            as a multiple of its standard deviations where the features have any, and else multiplies it by.
        code: lines of Python with numpy that make the list `branches` noisy, given the dictionary `features`.
        note: what the reader of that code must know, a sentence.
    """

    draw: Callable[[FeatureMap, NoiseKeys, int], FeatureMap]
    code: str
    note: str


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant under the settings of a model. As it stands here it is a network without noise.

    Subclasses have a name, are entered in the registry, and change what differs. In methods with a `network`, that is
    the `SegmenterNetwork` with its `backbone`, its `head` and the variant's own parts as attributes.
    """

    model: ModelConfig

    name: ClassVar[str]
    # How the head upsamples.
    interpolation: ClassVar[Interpolation] = "bilinear"
    # Whether its own parts are fitted to a trained deterministic network (training/post_hoc/) instead of trained.
    post_hoc: ClassVar[bool] = False
    # Range, plus and minus, that it keeps the log variance in by itself; None leaves that to the loss.
    log_variance_bound: ClassVar[float | None] = None
    # What the reference's hyperparameter files call it, where the reference has it.
    reference_name: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        """Raises an `InputError` where the settings do not suit it."""

    @property
    def noise(self) -> Sharing:
        """What shares a draw of its noise."""
        return "none"

    @property
    def stochastic(self) -> bool:
        """Whether samples differ."""
        return self.noise != "none"

    @property
    def title(self) -> str:
        """What sentences call it."""
        return self.name.replace("_", " ")

    @property
    def coherent(self) -> ModelConfig | None:
        """Settings under which the same variables give samples that hold all over an image; None where there are none.

        The interval of the corroded area comes from such samples.
        """
        return None if self.noise == "cell" else self.model

    def parts(self, channels: tuple[int, ...], policy: Policy) -> Parts:
        """Its own modules by their names in the parameter tree; `channels` are the branches', finest first."""
        return {}

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of its own parts; fine-tuning takes or leaves each as a whole."""
        shape = architecture(self.model.preset, width=self.model.width)
        return tuple(self.parts(shape.branch_channels(), Policy()))

    def features(
        self,
        network: nn.Module,
        branches: tuple[FeatureMap, ...],
        log_variance: Float[Array, "batch height width"],
        train: bool,
    ) -> Features:
        """What all samples share, from the backbone's branches and the aleatoric network's log variance."""
        return Features(branches, (), log_variance)

    def noisy_branches(self, network: nn.Module, features: Features, keys: NoiseKeys | None) -> tuple[FeatureMap, ...]:
        """The head's inputs in one sample; without keys, at the mean of the noise."""
        return features.branches

    def sample(
        self, network: nn.Module, features: Features, keys: NoiseKeys | None, train: bool
    ) -> Float[Array, "batch height width"]:
        """Logits of one sample, at the image's size; without keys, at the mean of the noise."""
        branches = self.noisy_branches(network, features, keys)
        return network.head(branches, features.log_variance.shape[1:], train)

    def kl(self, params: PyTree, prior_means: PyTree = ()) -> Float[Array, ""] | None:
        """Divergence of its posterior from its prior in nats, summed over weights; None where it has no prior.

        The prior's means are 0, or `prior_means` in the shape of the method of that name.
        """
        return None

    def prior_means(self, params: PyTree) -> PyTree:
        """Means of the posterior, which fine-tuning may centre the prior on; empty where there is no prior."""
        return ()

    @property
    def exported_noise(self) -> str:
        """What the description of an exported bundle calls the noise."""
        return self.noise

    def branch_noise(self) -> BranchNoise:
        """How a program without this library draws a sample between encoder and decoder.

        Raises:
            InputError: where samples differ otherwise than by noise on the branches.
        """
        if self.stochastic:
            raise self.without_branch_noise()
        return BranchNoise(
            draw=lambda ones, keys, branch: ones,
            code="# This network has no noise: one sample is the answer.",
            note="One sample is enough.",
        )

    def without_branch_noise(self) -> InputError:
        """What `branch_noise` raises where the decoder has no place for the noise."""
        return InputError(
            f"--onnx is not available with model.variant={self.name}, whose noise is not on the branches: leave --onnx "
            f"out"
        )


def part_of(name: str) -> str:
    """The part that an entry at the top of the parameter tree belongs to: lists have their modules numbered."""
    return re.sub(r"_\d+$", "", name)
