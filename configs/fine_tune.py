"""The shipped detector taught one's own structures by some fifty labelled photographs, in a hundred small steps.

spotrust train --config.data.path=DATA --workdir=runs/fine_tuned    # this config file is the default

An argument names another preset: a variational network, from the weights that --config.fine_tuning.checkpoint names.

spotrust convert --source=WEIGHTS --preset=w48 --variant=variational \
    --allow_missing=head,bayesian,aleatoric --output=models/start
spotrust train --config=configs/fine_tune.py:w48 --config.fine_tuning.checkpoint=models/start \
    --config.data.path=DATA --workdir=runs/fine_tuned
"""

from spotrust_jax.config import paper_config
from spotrust_jax.io.model_folders import DEFAULT


def get_config(preset: str = ""):
    return _from_weights(preset) if preset else _from_detector()


def _from_detector():
    config = _averaged_cosine()
    config.model.variant = "deterministic"
    config.model.preset = "w18_small_v2"
    config.members = 3
    # Each member goes on from its own, with its head, whose log variance the aleatoric network gives.
    config.fine_tuning.checkpoint = DEFAULT
    config.fine_tuning.head = config.fine_tuning.aleatoric = True
    # As the detector saw its photographs, magnified 0.7 to 1.5 times; smaller crops, for two CPU cores.
    config.data.image_size = 512
    config.augmentation.crop_size = (256, 256)
    config.augmentation.scale = (0.15, 0.7)
    config.augmentation.blur = 0.15
    config.loss.kind = "cross_entropy"
    config.loss.positive_weight = 1.5
    config.loss.dice_weight = 0.5
    config.optimizer.learning_rate = 3e-4
    config.optimizer.ema_decay = 0.95
    config.batch_size = 8
    # Fifty photographs are six steps an epoch, a hundred in all.
    config.epochs = 16
    # The last average of the weights is the model; so the validation photographs are left to calibrate it.
    config.validation_epochs = 0
    return config


def _from_weights(preset: str):
    config = _averaged_cosine()
    config.model.variant = "variational"
    config.model.preset = preset
    # The new head finds its way before the backbone moves, and moves ten times as fast from then on.
    config.fine_tuning.freeze_epochs = 2
    config.fine_tuning.backbone_rate = 0.1
    config.optimizer.learning_rate = 1e-3
    # Averages over about the last 200 steps.
    config.optimizer.ema_decay = 0.995
    config.epochs = 60
    return config


def _averaged_cosine():
    config = paper_config()
    config.optimizer.kind = "adamw"
    config.schedule.kind = "cosine"
    config.schedule.warmup_epochs = 1.0
    return config
