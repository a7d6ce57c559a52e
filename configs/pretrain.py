"""HRNet backbone distilled from EfficientNet-Lite2 on photographs without labels; the argument is the preset.

spotrust pretrain --config=configs/pretrain.py:w18_small_v2 --config.data.path=PHOTOGRAPHS \
    --workdir=runs/pretrained
spotrust train --config=configs/fine_tune.py:w18_small_v2 --config.fine_tuning.checkpoint=runs/pretrained/best \
    --config.data.path=DATA --workdir=runs/fine_tuned
"""

from typing import Any, cast

from ml_collections import ConfigDict

from spotrust_jax.config import PretrainConfig
from spotrust_jax.fields import to_dict


def get_config(preset: str = "w18_small_v2"):
    config = cast(Any, ConfigDict(to_dict(PretrainConfig())))
    config.model.preset = preset
    return config
