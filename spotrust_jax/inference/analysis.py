"""One photograph of any size through a segmenter at the scale it knows, and the maps back at the photograph's size."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Key, UInt8

from spotrust_jax.errors import InputError
from spotrust_jax.inference.photographs import fit_image, inference_shape, restore_map
from spotrust_jax.inference.segmenter import Prediction, Segmenter
from spotrust_jax.models.hrnet import COARSEST_CELL

# A photograph this many times larger than the scale of analysis loses detail that a user may not expect to lose.
_MUCH_LARGER = 2


@dataclasses.dataclass(frozen=True)
class Analysis:
    """How photographs are analysed.

    Attributes:
        scale: long side in pixels that photographs are resized to, or None for their own size.
        num_samples: stochastic passes of each member.
        seed: of all noise.
    """

    scale: int | None
    num_samples: int = 24
    seed: int = 0

    @property
    def key(self) -> Key[Array, ""]:
        """The key that all noise derives from."""
        return jax.random.key(self.seed)


def parse_scale(text: str, trained: int) -> int | None:
    """The long side that "trained", "native" (None) or a number of pixels stands for."""
    if text == "trained":
        return trained
    if text == "native":
        return None
    if not text.isdigit() or int(text) < COARSEST_CELL:
        choices = f"trained, native or a number of pixels from {COARSEST_CELL} up"
        raise InputError(f"--scale={text} is not a scale: give {choices}")
    return int(text)


def predict_photograph(
    segmenter: Segmenter, image: UInt8[np.ndarray, "height width 3"], analysis: Analysis
) -> Prediction:
    """The maps of a photograph, at its own size."""
    height, width = image.shape[:2]
    sized = fit_image(image, inference_shape(height, width, analysis.scale))
    prediction = segmenter.predict(sized, key=analysis.key, num_samples=analysis.num_samples)
    return Prediction(
        restore_map(prediction.probability, height, width),
        restore_map(prediction.epistemic, height, width),
        restore_map(prediction.log_variance, height, width),
        prediction.threshold,
    )


def much_larger(height: int, width: int, analysis: Analysis) -> bool:
    """Whether a photograph is shrunk so much that the user should know."""
    return analysis.scale is not None and max(height, width) > _MUCH_LARGER * analysis.scale
