"""Pretrains a backbone on photographs without labels, or goes on where it stopped.

    spotrust pretrain --config=configs/pretrain.py --config.data.path=PHOTOGRAPHS --workdir=runs/pretrained
    spotrust pretrain --save_teacher=teacher.npz

The backbone learns to give the features of EfficientNet-Lite2, which has seen ImageNet. RUN/best is a checkpoint
for --config.fine_tuning.checkpoint of a training. --config.FIELD=VALUE changes any field of the configuration, listed
below. The same command resumes. Asked to stop (SIGTERM), it saves and exits with code 75. The second form writes the
teacher's weights to a file for machines without its package, where --config.teacher=teacher.npz names it.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from spotrust_jax.command_line import config_file
from spotrust_jax.errors import InputError

from . import program

config_file.replace_tuples()
_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, configs/NAME.py[:argument].", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory, for checkpoints and metrics.")
_SAVE_TEACHER = flags.DEFINE_string("save_teacher", None, "Write the teacher's weights to this .npz file, and stop.")

# Where configs/ stands beside this folder.
_INSTALLED = Path(__file__).resolve().parent.parent


def main() -> int:
    from spotrust_jax.config import PretrainConfig
    from spotrust_jax.fields import from_dict
    from spotrust_jax.training.pretraining import pretrain

    if _SAVE_TEACHER.value:
        return _save_teacher(Path(_SAVE_TEACHER.value))
    config, workdir = _CONFIG.value, _WORKDIR.value
    if config is None or workdir is None:
        name = "config" if config is None else "workdir"
        raise InputError(f"--{name} is missing: give --config=configs/pretrain.py and --workdir=DIR")
    done = pretrain(from_dict(PretrainConfig, config.to_dict()), workdir, program.devices())
    best = Path(workdir) / "best"
    print(f"{done.steps} steps, lowest loss on held-out crops {done.best_loss:.3f}: {best}")
    return 0


def _save_teacher(path: Path) -> int:
    from spotrust_jax.models.teacher import load_teacher, save_teacher

    if path.suffix != ".npz" or not path.parent.is_dir():
        raise InputError(f"--save_teacher={path}: give a name that ends in .npz, in a folder that exists")
    save_teacher(load_teacher(), path)
    print(f"weights of the teacher, in half precision: {path}")
    return 0


def run() -> None:
    kind = "PretrainConfig"
    program.run(main, lambda arguments: config_file.complete(arguments, _INSTALLED, kind), config=kind)


if __name__ == "__main__":
    run()
