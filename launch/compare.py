"""Shows finished training runs side by side.

Scores, time, memory, devices, and where their configurations differ. For differences of scores with intervals, evaluate
the models together: spotrust evaluate --checkpoint=A,B.

    spotrust compare --workdir=runs/variational,runs/dropout
"""

from pathlib import Path

from absl import flags

from . import program

_WORKDIR = flags.DEFINE_list("workdir", None, "Run directories, separated by commas.", required=True)


def main() -> int:
    from spotrust_jax.training.summary import compare

    print(compare([Path(directory) for directory in _WORKDIR.value]))
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
