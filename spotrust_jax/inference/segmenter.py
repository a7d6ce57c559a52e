"""A trained model ready for use: images in, a `Prediction` out, at exactly the size given."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Key, Num, UInt8

from spotrust_jax.calibration.areas import AreaCalibration
from spotrust_jax.calibration.novelty import FARTHEST, KnownFeatures, NoveltyCalibration
from spotrust_jax.calibration.promises import Promise
from spotrust_jax.checkpoints import (
    CheckpointConfig,
    load_model,
    read_known_features,
    save_model,
    write_known_features,
)
from spotrust_jax.errors import InputError
from spotrust_jax.inference.analysis import Analysis, analyse, at_size, default_analysis
from spotrust_jax.inference.prediction import Prediction, stack
from spotrust_jax.inference.preprocessing import fit_image, restore_map
from spotrust_jax.io.model_folders import DEFAULT
from spotrust_jax.losses import bound_log_variance
from spotrust_jax.models import compile_notice
from spotrust_jax.models.fast.folding import fold_norms, folded_network
from spotrust_jax.models.hrnet import COARSEST_CELL
from spotrust_jax.models.mismatch import mismatch_errors
from spotrust_jax.models.segmenter import Variables, normalize
from spotrust_jax.parallel import AXIS, DeviceGrid, over_devices
from spotrust_jax.random import content_keys
from spotrust_jax.sampling.passes import AreaCount, Maps, predict_maps
from spotrust_jax.typing import Device


@dataclasses.dataclass(frozen=True)
class Segmenter:
    """A network, or an ensemble of them, with its trained variables.

    Attributes:
        variables: leaves [members, ...].
        config: what belongs to them.
        devices: where it computes, each with as many members; none is jax's default device.
        known: features that novelty is measured from, where the model has them.
    """

    variables: Variables
    config: CheckpointConfig
    devices: tuple[Device, ...] = ()
    known: KnownFeatures | None = None

    def __repr__(self) -> str:
        """One line: the variables are millions of numbers."""
        model, members = self.config.model, self.config.members
        network = f"{model.variant} {model.preset}" + (f" of width {model.width}" if model.width else "")
        networks = network if members == 1 else f"{members} x {network}"
        trained = f"trained at {self.config.inference_size} pixels"
        return f"Segmenter({networks}, {trained}, threshold {self.config.threshold:.3g})"

    def predict(
        self,
        image: Num[Any, "..."],
        *,
        key: Key[Array, ""] | None = None,
        num_samples: int = 24,
        scale: str | int = "trained",
        decomposed: bool = False,
    ) -> Prediction:
        """Maps of one image, or of a batch of one size, at the size given: what `spotrust predict` says of a file.

        Args:
            image: uint8, or float in [0, 1], which is rounded to 8 bits as in a file; [H, W, 3] or [B, H, W, 3].
            key: the noise of an image is a function of this key and of its content, alone or in a batch; by default
                `jax.random.key(0)`, and `jax.random.key(N)` is `--seed=N`.
            num_samples: stochastic passes of each member, at least 1; a deterministic member needs one in any case.
            scale: at which the network sees the image. "trained" resizes it to the long side that the model was
                trained at, a number to that many pixels; "native" takes it as it is, with sides of at least 32.
            decomposed: whether the prediction is to have entropy, mutual information and variance within passes.

        Raises:
            InputError: for an image of another type, shape or range, for another scale, for no passes, or for a model
                whose answer is not a number.
        """
        if isinstance(image, (str, bytes, os.PathLike)):
            remedy = "give its pixels, spotrust_jax.io.images.read_image(path)"
            raise InputError(f"image is {os.fspath(image)!r}, the name of a file: {remedy}")
        images = _as_photographs(np.asarray(image))
        analysis = default_analysis(self.config, scale, num_samples, decomposed=decomposed)
        if analysis.scale is None and min(images.shape[1:3]) < COARSEST_CELL:
            least = f"sides must be {COARSEST_CELL} pixels or more at native scale, enlarge it"
            raise InputError(f"image has shape {np.shape(image)}: {least}")
        key = analysis.key if key is None else key
        found = [at_size(maps, *images.shape[1:3]) for maps in self._predict_photographs(images, analysis, key)]
        return stack(found) if np.ndim(image) == 4 else found[0]

    def predict_part(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        photograph: Key[Array, ""],
        tile: int,
        num_samples: int,
        decomposed: bool = False,
        area: AreaCount | None = None,
    ) -> Prediction:
        """Maps of a part of a photograph, not calibrated: that follows once the parts are together.

        Args:
            image: the part, each side at least 32.
            photograph: the key of the photograph, as `content_keys` gives it. Kernels and channel masks are drawn from
                it alone, so all parts share them.
            tile: number of the part, from which, with the key, noise of single cells is drawn; a whole photograph is
                number 0.
            num_samples: stochastic passes of each member, at least 1.
            decomposed: as for `predict`.
            area: how the corroded area of each pass is counted, where it is wanted.
        """
        return self._predict(image[None], photograph[None], num_samples, tile, decomposed, area)[0]

    def spread(self, devices: Sequence[Device]) -> "list[Segmenter]":
        """The same segmenter several times, so that together they compute on all of the devices.

        Members of an ensemble are divided among as many devices as can have equal parts of them.
        """
        together = math.gcd(self.config.members, len(devices))
        groups = [tuple(devices[start : start + together]) for start in range(0, len(devices), together)]
        return [dataclasses.replace(self, devices=group) for group in groups]

    @functools.cached_property
    def folded(self) -> Variables:
        """The variables that predictions go by, batch norm folded in, on the devices. Computed when first used.

        Raises:
            InputError: where the variables are not those of the configuration's network.
        """
        with mismatch_errors(self.variables, self.config.model):
            folded = fold_norms(jax.tree.map(np.asarray, self.variables))
        if len(self.devices) > 1:
            return DeviceGrid(self.config.members, self.devices).spread(folded)
        return jax.device_put(folded, self.devices[0] if self.devices else None)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of configuration and variables: equal where the maps will be."""
        digest = hashlib.sha256(json.dumps(self.config.settings, sort_keys=True).encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            digest.update(f"{path}{leaf.shape}{leaf.dtype}".encode())
            digest.update(np.ascontiguousarray(leaf).data)
        for name, array in ({} if self.known is None else self.known.tensors()).items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def member(self, index: int) -> "Segmenter":
        """One member of an ensemble, as a segmenter of its own.

        Novelty, intervals of areas and the promise of the threshold are not those of a member alone: it has none.
        """
        if not 0 <= index < self.config.members:
            raise InputError(f"member {index} does not exist: the ensemble has members 0 to {self.config.members - 1}")
        variables = jax.tree.map(lambda leaf: leaf[index : index + 1], self.variables)
        none = {"novelty": NoveltyCalibration(), "areas": AreaCalibration(), "promise": Promise()}
        config = dataclasses.replace(self.config, members=1, **none)
        return Segmenter(variables, config, self.devices[:1])

    @property
    def uncalibrated(self) -> "Segmenter":
        """With the raw probabilities, and the threshold at which the mask stays as it is."""
        return dataclasses.replace(self, config=self.config.uncalibrated)

    def with_config(self, config: CheckpointConfig) -> "Segmenter":
        """The same variables, which are folded and on the devices only once, under another configuration of them."""
        other = dataclasses.replace(self, config=config)
        vars(other)["folded"] = self.folded  # where a cached property is kept
        return other

    def save(self, folder: str | os.PathLike) -> None:
        """Writes a checkpoint that `load` reads."""
        config = self.config if self.known else dataclasses.replace(self.config, novelty=NoveltyCalibration())
        save_model(folder, self.variables, config)
        if self.known is not None:
            write_known_features(folder, self.known)

    def _predict_photographs(
        self, images: UInt8[np.ndarray, "batch height width 3"], analysis: Analysis, key: Key[Array, ""]
    ) -> list[Prediction]:
        """Calibrated maps of each at the size of the analysis: in one batch where none is tiled."""
        shape = images.shape[1:3]
        if analysis.tiled(*shape):
            return [analyse(self, image, analysis, key=key) for image in images]
        sized = np.stack([fit_image(image, analysis.shape(*shape)) for image in images])
        keys = content_keys(key, sized)
        maps = self._predict(sized, keys, analysis.num_samples, 0, analysis.decomposed, None)
        maps = maps.calibrated(self.config.calibration)
        return [maps[index] for index in range(len(images))]

    def _predict(
        self,
        images: np.ndarray,
        keys: Key[Array, "batch"],
        num_samples: int,
        tile: int,
        decomposed: bool,
        area: AreaCount | None,
    ) -> Prediction:
        if num_samples < 1:
            raise InputError(f"num_samples is {num_samples}: give at least 1")
        asked = decomposed, self.known is not None
        several = len(self.devices) > 1
        maps = spread_maps(self.config, self.devices, *asked) if several else compiled_maps(self.config, *asked)
        run = functools.partial(maps, self.folded, images, keys, num_samples, np.int32(tile), area)
        # On many devices at once the first one compiles, and the others find the program in the cache.
        with compiled_sizes(self.config).first(images.shape, num_samples, self.devices, asked, area is None) as new:
            if new:
                compile_notice.announce(self.config.model, images.shape[1], images.shape[2], "predict")
            with mismatch_errors(self.variables, self.config.model):
                found: Maps = jax.device_get(run())
        values: dict[str, Any] = {name: np.asarray(value) for name, value in found.named().items()}
        if not all(np.isfinite(value).all() for value in values.values()):
            raise InputError("the model answers with values that are no numbers: its weights are damaged, give another")
        areas = None if found.areas is None else np.moveaxis(np.asarray(found.areas), -1, 0).reshape(len(images), -1)
        config = self.config
        prediction = Prediction(**values, threshold=config.threshold, area_calibration=config.areas, areas=areas)
        if self.known is None:
            return prediction
        return _with_novelty(prediction, np.asarray(found.cells), self.known)


@functools.lru_cache(maxsize=32)
def compiled_maps(config: CheckpointConfig, decomposed: bool = False, featured: bool = False) -> Any:
    """The jitted `maps_function`; one program for each shape and number of passes."""
    return jax.jit(maps_function(config, decomposed=decomposed, featured=featured), static_argnums=3)


@functools.lru_cache(maxsize=32)
def spread_maps(
    config: CheckpointConfig, devices: tuple[Device, ...], decomposed: bool = False, featured: bool = False
) -> Any:
    """The same for members that are spread over devices: variables are on their grid, maps as from one device."""
    maps = maps_function(config, AXIS, decomposed=decomposed, featured=featured)
    return over_devices(maps, devices, shared=5, static=3)


def maps_function(
    config: CheckpointConfig, axis_name: str | None = None, *, decomposed: bool = False, featured: bool = False
) -> Callable[..., Maps]:
    """The function of folded variables, images as they are, keys, passes, tile number and how areas are counted.

    The maps are raw: calibration follows. With `axis_name` the variables are those of one device of this mapped axis,
    over which members are spread.
    """
    network = folded_network(config.model)
    bound = functools.partial(
        bound_log_variance, bound=config.log_variance_bound, bounding=config.log_variance_bounding
    )

    def maps(
        variables: Variables,
        images: Num[Array, "batch height width 3"],
        keys: Key[Array, "batch"],
        num_samples: int | Int[Array, ""],
        tile: int | Int[Array, ""] = 0,
        area: AreaCount | None = None,
    ) -> Maps:
        scale = 255.0 if images.dtype == jnp.uint8 else 1.0
        normal = normalize(images / scale, config.mean, config.std)
        options = {"bound": bound, "axis_name": axis_name, "decomposed": decomposed, "area": area}
        options["featured"] = featured
        return predict_maps(network, variables, normal, keys, num_samples=num_samples, tile=tile, **options)

    return maps


class CompiledSizes:
    """The compiled functions of a model that this process has run: one for each size, number of passes and device."""

    def __init__(self):
        self._lock, self._known = threading.Lock(), set()

    @contextlib.contextmanager
    def first(self, shape: tuple[int, ...], *settings: Hashable) -> Iterator[bool]:
        """Around a run: first runs take turns, since they compile. Gives whether this is one."""
        key = (shape, *settings)
        with contextlib.nullcontext() if key in self._known else self._lock:
            yield key not in self._known
        self._known.add(key)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the images that went in, sorted."""
        return sorted({shape[1:3] for shape, *_ in self._known})


@functools.lru_cache(maxsize=32)
def compiled_sizes(config: CheckpointConfig) -> CompiledSizes:
    """Those of the models of a configuration."""
    return CompiledSizes()


def load(checkpoint: str | os.PathLike = DEFAULT) -> Segmenter:
    """The segmenter of a trained model.

    Args:
        checkpoint: name of a model that comes with the package, by default the detector; a folder, such as RUN/best or
            what `spotrust convert` wrote; or a file of safetensors with `config.json` beside it.

    Raises:
        InputError: where there is no such model, or it is damaged or of another version.
    """
    variables, config = load_model(checkpoint)
    return Segmenter(variables, config, known=read_known_features(checkpoint, config))


def _with_novelty(
    prediction: Prediction, cells: Float32[np.ndarray, "batch rows columns channels"], known: KnownFeatures
) -> Prediction:
    """With the novelty of each image's cells, and what that of the image is computed from."""
    shape = prediction.probability.shape[1:]
    distances = np.minimum(known.cell_distances(cells), np.float32(FARTHEST))
    local = np.stack([restore_map(one, *shape) for one in distances])
    pooled = cells.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    return dataclasses.replace(prediction, local_novelty=local, pooled_features=pooled, known=known)


def _as_photographs(image: np.ndarray) -> UInt8[np.ndarray, "batch height width 3"]:
    """The image or images in 8 bits."""
    if image.ndim not in (3, 4) or image.shape[-1] != 3 or image.size == 0:
        raise InputError(f"image has shape {image.shape}: give [height, width, 3] or [batch, height, width, 3]")
    if image.dtype != np.uint8:
        if not np.issubdtype(image.dtype, np.floating):
            raise InputError(f"image has type {image.dtype}: give uint8, or float in [0, 1]")
        if not (image.min() >= 0 and image.max() <= 1):
            raise InputError(f"float image has values in [{image.min():g}, {image.max():g}]: scale them to [0, 1]")
        image = np.rint(image * 255.0).astype(np.uint8)
    return image if image.ndim == 4 else image[None]
