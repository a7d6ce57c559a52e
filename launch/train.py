"""Trains what a config file describes, or goes on where it stopped.

    spotrust train --config.data.path=DATA --workdir=runs/fine_tuned    # from the shipped detector
    spotrust train --config=configs/variational.py --config.data.path=DATA --workdir=runs/variational

--config.FIELD=VALUE changes any field of the configuration, listed below. The same command resumes. Asked to stop
(SIGTERM, or a preemption notice), it saves and exits with code 75.
"""

import dataclasses
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from spotrust_jax.command_line import config_file

from . import distributed, program

config_file.replace_tuples()
_DEFAULT_CONFIG = "configs/fine_tune.py"
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, f"Config file, configs/NAME.py[:argument]; {_DEFAULT_CONFIG} where none is given.", lock_config=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory, for checkpoints and metrics.", required=True)
_STRICT_BATCH = flags.DEFINE_bool("strict_batch", False, "Whether to refuse a batch that devices cannot split evenly.")


def main() -> int:
    from spotrust_jax.config import TrainConfig
    from spotrust_jax.fields import from_dict
    from spotrust_jax.training.loop import train

    devices = program.devices()
    config = _with_whole_shares(from_dict(TrainConfig, _CONFIG.value.to_dict()), len(devices))
    program.warn(_large_crops(config))
    progress = train(config, _WORKDIR.value, devices)
    scores = ", ".join(f"{score:.3f}" for score in progress.best_score)
    best = Path(_WORKDIR.value) / "best"
    metric = config.best_metric.replace("_", " ")
    print(f"{progress.epochs} epochs, {progress.steps} steps, best validation {metric} {scores}: {best}")
    return 0


def _large_crops(config) -> str | None:
    """What to say of crops that are enlarged."""
    crop, image = config.augmentation.crop_size, config.data.image_size
    if max(crop) <= image:
        return None
    wrong = f"augmentation.crop_size {crop} is larger than data.image_size {image}"
    return f"{wrong}: crops are enlarged to it, which costs time and shows no more; give at most {image}"


def _with_whole_shares(config, devices: int):
    """The configuration with a batch that the devices can split; `train` refuses any other."""
    from spotrust_jax.parallel import Placement

    whole = Placement(config.members, devices).round_up(config.batch_size)
    if _STRICT_BATCH.value or whole == config.batch_size:
        return config
    print(f"batch of {config.batch_size} rounded up to {whole}, which {devices} devices can split", file=sys.stderr)
    return dataclasses.replace(config, batch_size=whole)


def complete_arguments(arguments: list[str]) -> list[str]:
    """Checks what --config names before it is loaded; `configs/NAME.py` is found in the installed package, too."""
    return config_file.complete(arguments, Path(__file__).resolve().parent.parent, default=_DEFAULT_CONFIG)


def run() -> None:
    program.run(main, complete_arguments, distributed.join, config="TrainConfig")


if __name__ == "__main__":
    run()
