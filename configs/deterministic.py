"""Deterministic HRNetV2 at 480 x 640 with the paper's settings; the argument is the preset (w48 is the paper's).

python -m launch.train --config=configs/deterministic.py:w48 --config.data.path=DATA --workdir=runs/deterministic
"""

from spotrust_jax.config import paper_config


def get_config(preset: str = "w48"):
    config = paper_config()
    config.model.variant = "deterministic"
    config.model.preset = preset
    return config
