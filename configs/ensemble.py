"""Ensemble of three deterministic HRNetV2 at 480 x 640, the paper's settings; the argument is the preset, or kfold=K.

python -m launch.train --config=configs/ensemble.py:w48 --config.data.path=DATA --workdir=runs/ensemble
Its first member is what configs/deterministic.py trains with the same seed. With the argument kfold=5 there are five
members, and each validates on one of the five folds of a data set that launch.prepare_data --folds=5 wrote.
"""

from spotrust_jax.config import paper_config


def get_config(argument: str = "w48"):
    config = paper_config()
    config.model.variant = "deterministic"
    config.members = 3
    folds = argument.removeprefix("kfold=")
    if folds == argument:
        config.model.preset = argument
    else:
        config.members = int(folds)
        config.data.fold_of_member = True
    return config
