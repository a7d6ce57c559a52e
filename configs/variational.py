"""Variational HRNetV2 at 480 x 640 with the paper's settings; the argument is the preset (w48 is the paper's).

python -m launch.train --config=configs/variational.py:w48 --config.data.path=DATA --workdir=runs/variational
"""

from spotrust_jax.config import paper_config


def get_config(preset: str = "w48"):
    config = paper_config()
    config.model.variant = "variational"
    config.model.preset = preset
    # "local_reparameterization" as in the reference's code, "kernel" as in the paper's text, or "flipout".
    config.model.estimator = "local_reparameterization"
    config.model.prior_std = 0.1
    config.loss.kl_weight = 1.0
    return config
