"""HRNetV2 with Monte-Carlo dropout at 480 x 640, the paper's settings; the argument is the preset (w48 is the paper's).

python -m launch.train --config=configs/dropout.py:w48 --config.data.path=DATA --workdir=runs/dropout
"""

from spotrust_jax.config import paper_config


def get_config(preset: str = "w48"):
    config = paper_config()
    config.model.variant = "dropout"
    config.model.preset = preset
    config.model.dropout_rate = 0.5
    # "element" as in the paper, or "channel" for masks that hold all over an image.
    config.model.dropout_mask = "element"
    return config
