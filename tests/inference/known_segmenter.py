"""A segmenter whose maps are known functions of each pixel, so that what happens to pixels and maps around it shows."""

import numpy as np

from spotrust_jax.checkpoints import CheckpointConfig
from spotrust_jax.config import ModelConfig
from spotrust_jax.inference.prediction import Prediction
from spotrust_jax.inference.segmenter import Segmenter

CONFIG = CheckpointConfig(ModelConfig("deterministic", "w18_small_v1", width=4), 1, (0.5,) * 3, (0.2,) * 3, 64)


class KnownSegmenter(Segmenter):
    """Red is the probability, green twice its std, blue the log variance; `calls` has the shapes it was given."""

    def __init__(self, before=lambda: None):
        super().__init__({"params": {"weight": np.ones((1, 2), np.float32)}}, CONFIG)
        object.__setattr__(self, "calls", [])
        object.__setattr__(self, "before", before)

    def predict_part(self, image, photograph, tile, num_samples, decomposed=False, area=None):
        self.before()
        self.calls.append(image.shape[:2])
        return known_maps(image, decomposed)


def known_maps(image, decomposed=False):
    red, green, blue = (image[..., channel].astype(np.float32) / 255 for channel in range(3))
    # As if half of a variance of 1/4 were disagreement.
    parts = ("entropy", "mutual_information", "pass_variance") if decomposed else ()
    more = {name: share * red * (1 - red) for name, share in zip(parts, (1.0, 0.5, 0.5), strict=False)}
    return Prediction(red, green / 2, blue, threshold=0.5, **more)
