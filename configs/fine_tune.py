"""Variational HRNetV2 from converted weights on a data set of a few hundred photographs; the argument is the preset.

python -m launch.convert --source=WEIGHTS --preset=w48 --variant=variational \
    --allow_missing=head,bayesian,aleatoric --output=models/start
python -m launch.train --config=configs/fine_tune.py:w48 --config.fine_tuning.checkpoint=models/start \
    --config.data.path=DATA --workdir=runs/fine_tuned
"""

from spotrust_jax.config import paper_config


def get_config(preset: str = "w48"):
    config = paper_config()
    config.model.variant = "variational"
    config.model.preset = preset
    # The new head finds its way before the backbone moves, and moves ten times as fast from then on.
    config.fine_tuning.freeze_epochs = 2
    config.fine_tuning.backbone_rate = 0.1
    config.optimizer.kind = "adamw"
    config.optimizer.learning_rate = 1e-3
    # Averages over about the last 200 steps.
    config.optimizer.ema_decay = 0.995
    config.schedule.kind = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.epochs = 60
    return config
