"""Monte-Carlo samples of the network: images in, maps out, in memory that does not grow with their number.

Knows nothing of files, sizes on disk or calibration; see inference/ for those.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

from spotrust_jax.models.hrnet import FeatureMap
from spotrust_jax.models.noise import NoiseKeys, noise_keys
from spotrust_jax.models.segmenter import SegmenterNetwork, Variables
from spotrust_jax.models.variants.variant import Features
from spotrust_jax.random import fold_each
from spotrust_jax.sampling.decomposition import Decomposition, SampleTerms, decompose, no_terms, sample_terms
from spotrust_jax.sampling.moments import Moments, merge, moments_of, no_moments

# Samples decoded at once. A CPU has one sample in its cache, part by part; accelerators want more work at a time.
SAMPLES_AT_ONCE = {"cpu": 1, "gpu": 8, "tpu": 8}


class Maps(NamedTuple):
    """What N samples or members say about each pixel.

    Attributes:
        probability: mean corrosion probability, in [0, 1].
        epistemic: standard deviation of the probability over samples and members, in [0, 0.5].
        log_variance: aleatoric log variance, mean over members.
        ensemble_spread: standard deviation of the members' own mean probabilities, in [0, 0.5]: its square is the part
            of the epistemic variance that members disagree about, the rest is within them. Only of several stochastic
            members: else it is all or nothing.
        decomposition: of the total uncertainty, where it was asked for.
        areas: weights of the pixels that each sample calls corrosion, summed, where it was asked for.
        cells: features of the first member that its samples share, where they were asked for.
    """

    probability: Float[Array, "batch height width"]
    epistemic: Float[Array, "batch height width"]
    log_variance: Float[Array, "batch height width"]
    ensemble_spread: Float[Array, "batch height width"] | None = None
    decomposition: Decomposition | None = None
    areas: Float[Array, "members samples batch"] | None = None
    cells: Float[Array, "batch rows columns channels"] | None = None

    def named(self) -> dict[str, Float[Array | np.ndarray, "batch height width"]]:
        """The maps that there are, by their names in a prediction."""
        parts = {} if self.decomposition is None else self.decomposition._asdict()
        found = {**self._replace(decomposition=None, areas=None, cells=None)._asdict(), **parts}
        return {name: values for name, values in found.items() if values is not None}


class AreaCount(NamedTuple):
    """How the corroded area of a single sample is counted.

    Attributes:
        threshold: raw probability from which a pixel counts.
        weights: what it counts.
    """

    threshold: Float[ArrayLike, ""]
    weights: Float[ArrayLike, "height width"]

    def __call__(self, probability: Float[Array, "*samples height width"]) -> Float[Array, "*samples"]:
        """The area of each sample over each image."""
        weights = jnp.broadcast_to(self.weights, probability.shape)
        return jnp.sum(jnp.where(probability >= self.threshold, weights, 0.0), axis=(-2, -1))


Areas = Float[Array, "samples batch"] | None
Cells = Float[Array, "batch rows columns channels"] | None

# Over a network's samples so far: of their probabilities, and for the decomposition.
_Sums = tuple[Moments, SampleTerms | None]


def sample_keys(
    image_keys: Key[Array, "batch"], sample: int | Int[Array, ""], tile: int | Int[Array, ""] = 0
) -> NoiseKeys:
    """Keys of one sample of a batch, from one key for each image; only noise of single cells depends on the tile."""
    keys = fold_each(image_keys, sample)
    noise = noise_keys(keys[0], keys)
    return noise._replace(cells=fold_each(noise.cells, tile))


def predict_maps(
    network: SegmenterNetwork,
    variables: Variables,
    images: Float[Array, "batch height width 3"],
    image_keys: Key[Array, "batch"],
    *,
    num_samples: int | Int[Array, ""],
    tile: int | Int[Array, ""] = 0,
    bound: Callable[[Array], Array] = lambda log_variance: log_variance,
    axis_name: str | None = None,
    decomposed: bool = False,
    area: AreaCount | None = None,
    featured: bool = False,
) -> Maps:
    """Maps of an ensemble whose variables are stacked on a leading axis; a single network is an ensemble of one.

    Members of a device run in turn. Deterministic members need one sample each, whatever `num_samples` says.

    Args:
        network: what all members share.
        variables: leaves [members, ...] of the members on this device.
        images: normalised.
        image_keys: the noise of image i is a function of image_keys[i], member and sample alone.
        num_samples: samples of each member, at least 1; where it is an array, it is known only when the program runs.
        tile: number of the part of a photograph that the images are, 0 for whole ones.
        bound: brings the network's second output into the range that training gave it, member by member.
        axis_name: mapped axis over whose devices the members are spread, as many on each, or None.
        decomposed: whether the maps have the decomposition too.
        area: how the area of each sample is counted, where it is; `num_samples` must then be known beforehand.
        featured: whether the maps come with the features of the first member.
    """
    here = jax.tree.leaves(variables)[0].shape[0]
    first = 0 if axis_name is None else here * jax.lax.axis_index(axis_name)

    def add_member(sums: _MemberSums, inputs: tuple[Int[Array, ""], PyTree]) -> tuple[_MemberSums, tuple[Areas, Cells]]:
        member, member_variables = inputs
        samples = member_samples(
            network,
            member_variables,
            images,
            fold_each(image_keys, member),
            num_samples=num_samples,
            tile=tile,
            decomposed=decomposed,
            area=area,
            featured=featured,
        )
        moments = samples.moments
        own = moments.squares / moments.count, bound(samples.log_variance), _divided(samples.terms, moments.count)
        rest = jax.tree.map(jnp.add, sums[1:], own)
        return _MemberSums(merge(sums.means, moments_of(moments.mean[None])), *rest), (samples.areas, samples.cells)

    start = jnp.zeros(images.shape[:3])
    nothing = _MemberSums(no_moments(start), start, start, no_terms(start) if decomposed else None)
    sums, each = jax.lax.scan(add_member, nothing, (first + jnp.arange(here), variables))
    if axis_name is not None:
        each = jax.tree.map(lambda own: jax.lax.all_gather(own, axis_name, tiled=True), each)
    areas, cells = each
    means, variance, log_variance, terms = sums if axis_name is None else _over_devices(sums, axis_name)
    between = means.squares / means.count
    members = here > 1 or axis_name is not None
    decomposition = None if terms is None else decompose(means.mean, _divided(terms, means.count))
    if decomposition is not None and not (members or network.variant.stochastic):
        # A single opinion: no rounding may look like a second one.
        decomposition = decomposition._replace(mutual_information=start)
    return Maps(
        means.mean,
        jnp.sqrt(between + variance / means.count),
        log_variance / means.count,
        jnp.sqrt(between) if members and network.variant.stochastic else None,
        decomposition,
        areas,
        None if cells is None else cells[0],
    )


class _MemberSums(NamedTuple):
    """Of members so far: moments of their means, and sums of their variances, log variances and mean terms."""

    means: Moments
    variance: Float[Array, "batch height width"]
    log_variance: Float[Array, "batch height width"]
    terms: SampleTerms | None


def _divided(terms: PyTree, count: Float[Array, ""]) -> PyTree:
    return jax.tree.map(lambda total: total / count, terms)


def _over_devices(sums: _MemberSums, axis_name: str) -> _MemberSums:
    """Those of the members of all devices, of which each has as many."""
    means = sums.means
    mean = jax.lax.pmean(means.mean, axis_name)
    squares = means.squares + means.count * jnp.square(means.mean - mean)
    (count, squares), rest = jax.lax.psum(((means.count, squares), sums[1:]), axis_name)
    return _MemberSums(Moments(count, mean, squares), *rest)


class MemberSamples(NamedTuple):
    """What one network's samples over a batch add up to.

    Attributes:
        moments: of their probabilities.
        log_variance: not yet bounded; all samples share it.
        terms: sums for the decomposition, where it was asked for.
        areas: of each sample, where they were.
        cells: features, where they were.
    """

    moments: Moments
    log_variance: Float[Array, "batch height width"]
    terms: SampleTerms | None
    areas: Areas
    cells: Cells = None


def member_samples(
    network: SegmenterNetwork,
    variables: Variables,
    images: Float[Array, "batch height width 3"],
    keys: Key[Array, "batch"],
    *,
    num_samples: int | Int[Array, ""],
    tile: int | Int[Array, ""] = 0,
    decomposed: bool = False,
    area: AreaCount | None = None,
    featured: bool = False,
) -> MemberSamples:
    """All samples of one network, added up."""
    count = area or (lambda _: None)
    features = cast(Features, network.apply(variables, images, method="features"))
    cells = feature_cells(features) if featured else None
    if not network.variant.stochastic:
        logits = cast(Array, network.apply(variables, features, method="decode"))
        probability = jax.nn.sigmoid(logits)[None]
        terms = sample_terms(logits) if decomposed else None
        return MemberSamples(moments_of(probability), features.log_variance, terms, count(probability), cells)

    def add_samples(sums: _Sums, samples: Int[Array, "samples"]) -> tuple[_Sums, Areas]:
        decode = lambda sample: _decode(network, variables, features, keys, sample, tile)  # noqa: E731
        logits = jax.vmap(decode)(samples)
        moments, terms = sums
        if decomposed:
            terms = jax.tree.map(lambda total, new: total + jnp.sum(new, axis=0), terms, sample_terms(logits))
        probability = jax.nn.sigmoid(logits)
        return (merge(moments, moments_of(probability)), terms), count(probability)

    start = features.log_variance
    nothing = no_moments(start), no_terms(start) if decomposed else None
    if isinstance(num_samples, jax.Array):
        add_pass = lambda sample, sums: add_samples(sums, sample[None])[0]  # noqa: E731
        moments, terms = jax.lax.fori_loop(0, num_samples, add_pass, nothing)
        areas = None
    else:
        samples = jnp.arange(num_samples).reshape(-1, _samples_at_once(network, num_samples))
        (moments, terms), areas = jax.lax.scan(add_samples, nothing, samples)
        areas = jax.tree.map(lambda parts: parts.reshape(num_samples, *parts.shape[2:]), areas)
    return MemberSamples(moments, features.log_variance, terms, areas, cells)


def feature_cells(features: Features) -> Float[Array, "batch rows columns channels"]:
    """All branches side by side, averaged over the cells of the coarsest one."""
    coarsest = features.branches[-1]

    def averaged(branch: FeatureMap) -> FeatureMap:
        sides = tuple(-(-fine // coarse) for fine, coarse in zip(branch.shape[1:3], coarsest.shape[1:3], strict=True))
        return nn.avg_pool(branch, sides, sides, "SAME", count_include_pad=False)

    return jnp.concatenate([averaged(one.astype(jnp.float32)) for one in features.branches], axis=-1)


def _decode(
    network: SegmenterNetwork,
    variables: Variables,
    features: Features,
    image_keys: Key[Array, "batch"],
    sample: Int[Array, ""],
    tile: int | Int[Array, ""],
) -> Float[Array, "batch height width"]:
    """Logits of one sample."""

    def one(features: Features, image_keys: Key[Array, "batch"]) -> Float[Array, "batch height width"]:
        return cast(Array, network.apply(variables, features, sample_keys(image_keys, sample, tile), method="decode"))

    if network.variant.noise != "weights":
        return one(features, image_keys)
    # Each image has kernels of its own: one after the other, because a batch of kernels is a slow grouped convolution.
    single = jax.tree.map(lambda leaf: leaf[:, None], (features, image_keys))
    return jax.lax.map(lambda inputs: one(*inputs)[0], single)


def _samples_at_once(network: SegmenterNetwork, num_samples: int) -> int:
    """The largest divisor of `num_samples` up to what suits the platform; one where samples have their own kernels."""
    if network.variant.noise == "weights":
        return 1
    limit = SAMPLES_AT_ONCE.get(jax.default_backend(), 8)
    return max(count for count in range(1, limit + 1) if num_samples % count == 0)
