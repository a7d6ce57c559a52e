"""The shipped detector: three HRNetV2-W18-Small-v2 from one distilled backbone, photographs at a long side of 512.

bash experiments/detector/make.sh PHOTOGRAPHS runs/detector SECONDS    # everything, from folders to files
python -m launch.train --config=configs/inspection.py --config.data.path=runs/detector/data \
    --config.fine_tuning.checkpoint=runs/detector/pretrained/best --workdir=runs/detector/ensemble
The argument "cross_site" trains four members instead, each without one kind of site (folds 0 to 3 of the data set).
"""

from spotrust_jax.config import paper_config


def get_config(argument: str = "ensemble"):
    config = paper_config()
    config.model.variant = "deterministic"
    config.model.preset = "w18_small_v2"
    config.model.dtype = "bfloat16"
    config.members = 3
    config.data.image_size = 512
    # Channel statistics of the training photographs, the backbone's too.
    config.data.mean = (0.52, 0.49, 0.44)
    config.data.std = (0.27, 0.27, 0.27)
    # A third of the photographs show one footbridge: sites count by the square root of their number of photographs.
    config.data.site_power = 0.5
    # Magnified 0.6 to 1.9 times, seen from the trained scale.
    config.augmentation.crop_size = (320, 320)
    config.augmentation.scale = (0.12, 1.0)
    config.augmentation.blur = 0.15
    # Each pixel's cross-entropy as it is: attenuation lets the network leave out what is hard.
    config.loss.kind = "cross_entropy"
    config.loss.positive_weight = 1.5
    config.loss.dice_weight = 0.5
    config.optimizer.kind = "adamw"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.05
    config.optimizer.ema_decay = 0.998
    config.schedule.kind = "cosine"
    config.schedule.warmup_epochs = 0.9
    config.batch_size = 24
    # Of fifty steps.
    config.epochs = 18
    # The last average of the weights is the model; nothing is chosen on the validation photographs, which calibrate it.
    config.validation_epochs = 0
    config.run.checkpoint_steps = 0
    config.run.save_epochs = 6
    if argument == "cross_site":
        config.members = 4
        config.data.fold_of_member = True
    return config
