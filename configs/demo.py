"""Variational w18_small_v1 on the embedded scenes at 128 x 128: what `spotrust demo` trains, on two CPU cores.

python -m launch.train --config=configs/demo.py --workdir=runs/demo
"""

from spotrust_jax.config import paper_config


def get_config():
    config = paper_config()
    config.model.variant = "variational"
    config.model.preset = "w18_small_v1"
    config.data.source = "scenes"
    config.data.image_size = 128
    # Training and validation scenes.
    config.data.scenes = (256, 32)
    # Channel statistics of the training scenes.
    config.data.mean = (0.40, 0.40, 0.40)
    config.data.std = (0.25, 0.25, 0.25)
    config.augmentation.crop_size = (128, 128)
    # A sixth of a scene is corroded, so the paper's weight of 7 would find too much.
    config.loss.positive_weight = 1.5
    # A wide range lets the attenuation run away in so short a training.
    config.loss.log_variance_bound = 3.0
    config.batch_size = 8
    # Few steps leave no time to learn from strong changes.
    config.augmentation.scale = (0.7, 1.0)
    config.augmentation.brightness = config.augmentation.contrast = 0.15
    config.augmentation.greyscale = config.augmentation.blur = 0.0
    # Eight epochs of 32 steps: the rate falls by the plateau rule in nearly every one.
    config.epochs = 8
    config.plateau.factor = 0.6
    config.plateau.patience = 0
    config.plateau.minimum_rate = 3e-5
    return config
