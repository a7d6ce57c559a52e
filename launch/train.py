"""Trains what a config file describes, or goes on with it where it stopped: the same command resumes."""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from spotrust_jax.errors import InputError

from . import program

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, configs/NAME.py[:argument].", lock_config=True)
flags.mark_flag_as_required("config")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints and metrics.", required=True)


def main() -> int:
    from spotrust_jax.config import TrainConfig, from_dict
    from spotrust_jax.training.loop import TrainingDivergedError, train

    config = from_dict(TrainConfig, _CONFIG.value.to_dict())
    try:
        progress = train(config, _WORKDIR.value, program.devices())
    except TrainingDivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    scores = ", ".join(f"{score:.3f}" for score in progress.best_f1)
    best = Path(_WORKDIR.value) / "best"
    print(f"{progress.epochs} epochs, {progress.steps} steps, best validation F1 {scores}: {best}")
    return 0


def complete_arguments(arguments: list[str]) -> list[str]:
    """Checks what --config names before it is loaded; `configs/NAME.py` is found in the installed package, too."""
    return [_complete(argument) for argument in arguments]


def _complete(argument: str) -> str:
    name, _, value = argument.lstrip("-").partition("=")
    if name.startswith("config."):
        from spotrust_jax.config import TrainConfig, require_field

        require_field(TrainConfig, name)
    if name != "config":
        return argument
    path, separator, parameter = value.partition(":")
    installed = Path(__file__).resolve().parent.parent / path
    if not Path(path).is_file() and not installed.is_file():
        raise InputError(f"config file {path} does not exist: give one such as configs/demo.py")
    return f"--config={path if Path(path).is_file() else installed}{separator}{parameter}"


def run() -> None:
    program.run(main, complete_arguments)


if __name__ == "__main__":
    run()
