"""Ensemble of three deterministic HRNetV2 at 480 x 640, the paper's settings; the argument is the preset.

python -m launch.train --config=configs/ensemble.py:w48 --config.data.path=DATA --workdir=runs/ensemble
Its first member is what configs/deterministic.py trains with the same seed.
"""

from spotrust_jax.config import paper_config


def get_config(preset: str = "w48"):
    config = paper_config()
    config.model.variant = "deterministic"
    config.model.preset = preset
    config.members = 3
    return config
