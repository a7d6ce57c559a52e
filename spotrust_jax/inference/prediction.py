"""What a model says about the pixels of a photograph."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float32

from spotrust_jax.calibration.platt import PlattScaling
from spotrust_jax.errors import InputError

DEVIATIONS = ("epistemic", "ensemble_spread", "augmentation")
"""Maps that are standard deviations: their squares average, not they themselves."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says about each pixel, in absolute units, so that two images can be compared.

    Attributes:
        probability: mean corrosion probability over passes and members, in [0, 1], calibrated where the model is.
        epistemic: standard deviation of the raw probability over passes and members, in [0, 0.5].
        log_variance: aleatoric log variance, mean over members: the log of the cross-entropy that the network expects.
        threshold: the model's probability threshold.
        ensemble_spread: of an ensemble of stochastic members, standard deviation of the members' own mean
            probabilities, in [0, 0.5]: what its square leaves of the epistemic variance is within members.
        augmentation: with test-time augmentation, standard deviation of the mean probability over the views, in
            [0, 0.5]; the other maps are then means over the views, deviations of the variance.
        entropy, mutual_information, pass_variance: where asked for, the `Decomposition` of the raw passes.
        areas: where asked for, the corroded share of the photograph in each pass, member after member.
    """

    probability: Float32[np.ndarray, "*batch height width"]
    epistemic: Float32[np.ndarray, "*batch height width"]
    log_variance: Float32[np.ndarray, "*batch height width"]
    threshold: float
    ensemble_spread: Float32[np.ndarray, "*batch height width"] | None = None
    augmentation: Float32[np.ndarray, "*batch height width"] | None = None
    entropy: Float32[np.ndarray, "*batch height width"] | None = None
    mutual_information: Float32[np.ndarray, "*batch height width"] | None = None
    pass_variance: Float32[np.ndarray, "*batch height width"] | None = None
    areas: Float32[np.ndarray, "*batch passes"] | None = None

    def __repr__(self) -> str:
        """One line: the maps are as many numbers as the photograph has pixels."""
        shape = " x ".join(map(str, self.probability.shape))
        return f"Prediction({shape}: {', '.join(self.names)}; threshold {self.threshold:.3g})"

    @property
    def names(self) -> tuple[str, ...]:
        """The maps that there are."""
        maps = [field.name for field in dataclasses.fields(self) if field.name not in ("threshold", "areas")]
        return tuple(name for name in maps if getattr(self, name) is not None)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Prediction":
        """With a function applied to every map."""
        return dataclasses.replace(self, **{name: function(getattr(self, name)) for name in self.names})

    def __getitem__(self, index: int) -> "Prediction":
        """That of one image of a batch."""
        names = self.names if self.areas is None else (*self.names, "areas")
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


def stack(predictions: Sequence[Prediction]) -> Prediction:
    """The maps of several images of one size as those of a batch."""
    first = predictions[0]
    return dataclasses.replace(
        first, **{name: np.stack([getattr(one, name) for one in predictions]) for name in first.names}
    )
