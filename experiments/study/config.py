"""One of the study's networks, narrow and at 128 x 128: the argument is ensemble, variational or dropout.

python -m launch.train --config=experiments/study/config.py:variational --workdir=runs/study/scenes/variational
`python -m experiments.study` trains all of them, on scenes and on labelled photographs, and measures them.
"""

from ml_collections import ConfigDict

from spotrust_jax.config import paper_config


def get_config(variant: str = "variational") -> ConfigDict:
    """All settings but those of a data set."""
    config = paper_config()
    config.members = 3 if variant == "ensemble" else 1
    config.model.variant = "deterministic" if variant == "ensemble" else variant
    config.model.preset = "w18_small_v1"
    config.model.width = 8
    config.data.source = "scenes"
    config.data.image_size = 128
    # Training and validation scenes.
    config.data.scenes = (512, 64)
    config.augmentation.crop_size = (128, 128)
    # Few steps leave no time to learn from strong changes.
    config.augmentation.scale = (0.7, 1.0)
    config.augmentation.brightness = config.augmentation.contrast = 0.15
    config.augmentation.greyscale = config.augmentation.blur = 0.0
    # Raises the logits by log 3, which calibration has to find.
    config.loss.positive_weight = 3.0
    config.loss.log_variance_bound = 3.0
    config.batch_size = 8
    config.epochs = 8
    config.schedule.kind = "cosine"
    config.schedule.warmup_epochs = 0.2
    return config
