"""What a model says about the pixels of a photograph: the maps, and the table of them."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, get_args

import numpy as np
from jaxtyping import Bool, Float32

from spotrust_jax.calibration.areas import Area, AreaCalibration, area
from spotrust_jax.calibration.novelty import FARTHEST, KnownFeatures, Novelty
from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError
from spotrust_jax.inference.maps import Combination, Given, Map, MapPicture

PixelMap = Float32[np.ndarray, "*batch height width"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says about each pixel, in absolute units, so that two images can be compared.

    A field that is annotated with a `Map` is a map, which says there what it means; one that is not given is None.

    Attributes:
        threshold: the model's probability threshold.
        area_calibration: what intervals of corroded areas are made of.
        areas: where asked for, the corroded share of the photograph in each pass, member after member.
        pooled_features: mean over the photograph of the features that all samples share, where the model has novelty.
        known: what novelty is measured from, there.
    """

    probability: Annotated[
        PixelMap,
        Map(
            "Probability",
            "mean corrosion probability over samples and members, calibrated where the model is",
            unit="probability",
            range=(0.0, 1.0),
            picture=MapPicture("probability", "probability of corrosion", always=False, whole_range=True),
        ),
    ]
    epistemic: Annotated[
        PixelMap,
        Map(
            "Epistemic uncertainty",
            "standard deviation of the raw probability over samples and members: how much plausible models disagree; "
            "few samples understate it",
            unit="probability",
            range=(0.0, 0.5),
            tiles=Combination.TOTAL,
            augmentations=Combination.WITHIN,
            picture=MapPicture("epistemic", "standard deviation of the probability"),
            ranks_errors=True,
        ),
    ]
    log_variance: Annotated[
        PixelMap,
        Map(
            "Aleatoric uncertainty",
            "mean over members of the network's second output, the log variance s of Eqn 1",
            unit="log of nats",
            range=None,
            compressed=False,
            picture=MapPicture("aleatoric", "log variance"),
            ranks_errors=True,
        ),
    ]
    threshold: float
    ensemble_spread: Annotated[
        PixelMap | None,
        Map(
            "Ensemble spread",
            "standard deviation of the members' own mean probabilities; the rest of the epistemic variance is within "
            "members",
            unit="probability",
            range=(0.0, 0.5),
            tiles=Combination.WITHIN,
            augmentations=Combination.WITHIN,
            given=Given.ENSEMBLE,
            picture=MapPicture("ensemble_spread", "standard deviation of the members' means"),
        ),
    ] = None
    augmentation: Annotated[
        PixelMap | None,
        Map(
            "Spread of test-time augmentation",
            "standard deviation of the mean probability over the photograph mirrored, turned and scaled",
            unit="probability",
            range=(0.0, 0.5),
            tiles=Combination.WITHIN,
            augmentations=Combination.BETWEEN,
            given=Given.AUGMENTED,
            picture=MapPicture("augmentation", "standard deviation over augmentations"),
        ),
    ] = None
    local_novelty: Annotated[
        PixelMap | None,
        Map(
            "Novelty",
            "distance of the features around a pixel from those of the training photographs, in units of the distance "
            "that 5% of known places exceed; 10 and more is 10",
            unit="limit of known places",
            range=(0.0, FARTHEST),
            given=Given.NOVELTY,
            picture=MapPicture("novelty", "distance from the training photographs", always=False),
        ),
    ] = None
    entropy: Annotated[
        PixelMap | None,
        Map(
            "Entropy",
            "of the raw mean probability: everything that is not known about the label",
            unit="nats",
            range=(0.0, math.log(2)),
            given=Given.DECOMPOSED,
            stored=False,
            ranks_errors=True,
        ),
    ] = None
    mutual_information: Annotated[
        PixelMap | None,
        Map(
            "Mutual information",
            "between label and sample: the entropy less the mean entropy of single samples, which is what samples "
            "disagree about; few samples understate it",
            unit="nats",
            range=(0.0, math.log(2)),
            given=Given.DECOMPOSED,
            stored=False,
            ranks_errors=True,
        ),
    ] = None
    pass_variance: Annotated[
        PixelMap | None,
        Map(
            "Variance within samples",
            "mean of p (1 - p) over samples; with the squared epistemic standard deviation it makes m (1 - m), m the "
            "raw mean probability",
            unit="squared probability",
            range=(0.0, 0.25),
            given=Given.DECOMPOSED,
            stored=False,
        ),
    ] = None
    expected_entropy: Annotated[
        PixelMap | None,
        Map(
            "Expected entropy",
            "mean entropy of single samples: the aleatoric part of the entropy, which more data for training would not "
            "lower",
            unit="nats",
            range=(0.0, math.log(2)),
            given=Given.DECOMPOSED,
            stored=False,
        ),
    ] = None
    area_calibration: AreaCalibration = AreaCalibration()
    areas: Float32[np.ndarray, "*batch passes"] | None = None
    pooled_features: Float32[np.ndarray, "*batch channels"] | None = None
    known: KnownFeatures | None = None

    def __repr__(self) -> str:
        """One line: the maps are as many numbers as the photograph has pixels."""
        shape = " x ".join(map(str, self.probability.shape))
        return f"Prediction({shape}: {', '.join(self.names)}; threshold {self.threshold:.3g})"

    @property
    def names(self) -> tuple[str, ...]:
        """The maps that there are."""
        return tuple(name for name in MAPS if getattr(self, name) is not None)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Prediction":
        """With a function applied to every map."""
        return dataclasses.replace(self, **{name: function(getattr(self, name)) for name in self.names})

    def __getitem__(self, index: int) -> "Prediction":
        """That of one image of a batch."""
        arrays = (*self.names, "areas", "pooled_features")
        names = [name for name in arrays if getattr(self, name) is not None]
        return dataclasses.replace(self, **{name: getattr(self, name)[index] for name in names})

    def calibrated(self, calibration: PlattScaling) -> "Prediction":
        """With calibrated probability; all else stays that of the raw passes."""
        return dataclasses.replace(self, probability=calibration(self.probability))

    def mask(self, threshold: float | None = None) -> Bool[np.ndarray, "*batch height width"]:
        """Where the probability reaches the threshold: the model's own, unless another one in [0, 1] is given."""
        threshold = self.threshold if threshold is None else threshold
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold is {threshold}: give a number from 0 to 1")
        return self.probability >= threshold

    def area(self, region: Bool[np.ndarray, "_height _width"] | None = None) -> Area:
        """The corroded share of one image, or of a region of it, with the interval that holds it as often as it says.

        The estimate is the mean probability, not the share of the mask, which its threshold makes too large or too
        small. How often intervals hold was measured on whole photographs at the scale that the model is calibrated at.

        Args:
            region: true where the image is judged; all of it by default.

        Raises:
            InputError: for a batch, or a region of another shape or without any pixel.
        """
        p = self.probability.astype(np.float64)
        if p.ndim != 2:
            raise InputError(f"the prediction is of a batch of {len(p)} images: ask for one, prediction[0].area()")
        if region is not None:
            if region.shape != p.shape:
                given = f"{list(region.shape)} pixels"
                raise InputError(f"region is of {given}: give booleans of the image's shape {list(p.shape)}")
            if not region.any():
                raise InputError("region has no pixel: mark what is to be judged as true")
            p = p[region]
        return area(self.area_calibration, float(p.mean()), float((p * (1 - p)).mean()))

    @property
    def novelty(self) -> Novelty | None:
        """How far one image is from all that the model was trained on; None where the model has no novelty.

        Raises:
            InputError: for a batch.
        """
        if self.known is None or self.pooled_features is None:
            return None
        if self.pooled_features.ndim != 1:
            count = len(self.pooled_features)
            raise InputError(f"the prediction is of a batch of {count} images: ask for one, prediction[0].novelty")
        return self.known.novelty(self.pooled_features)


MAPS: Mapping[str, Map] = {
    field.name: described
    for field in dataclasses.fields(Prediction)
    for described in get_args(field.type)
    if isinstance(described, Map)
}
"""All maps by name, in the order in which files and tables have them."""

PICTURES: Mapping[str, MapPicture] = {
    name: described.picture for name, described in MAPS.items() if described.picture is not None
}
"""How maps are drawn, of those that are."""


def stack(predictions: Sequence[Prediction]) -> Prediction:
    """The maps of several images of one size as those of a batch."""
    first = predictions[0]
    names = first.names if first.pooled_features is None else (*first.names, "pooled_features")
    return dataclasses.replace(first, **{name: np.stack([getattr(one, name) for one in predictions]) for name in names})
