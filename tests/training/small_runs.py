"""A small run as a process of its own, alone or as one of several: `python -m tests.training.small_runs RUN`.

Also the study of killed runs, `python -m tests.training.small_runs --kills=20`: the same run is killed at random
moments until it is through, and must end with the weights of a run that nobody disturbed. The network is a small one
unless SPOTRUST_STUDY is set.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.compilation import xla_flags

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Seconds; the small network's run takes some thirty on free cores.
_LONGEST = 900


def config(members: int = 1, epochs: int = 5):
    """Five epochs of four steps that are saved after every second step; 20 steps of plain gradient descent."""
    from spotrust_jax.config import AugmentationConfig, DataConfig, ModelConfig, OptimizerConfig, RunConfig, TrainConfig

    return TrainConfig(
        model=ModelConfig("variational", "w18_small_v1", width=4),
        data=DataConfig(source="scenes", image_size=64, scenes=(16, 4)),
        augmentation=AugmentationConfig(crop_size=(64, 64)),
        optimizer=OptimizerConfig("sgd", 0.01),
        run=RunConfig(checkpoint_steps=2, panel_epochs=0),
        members=members,
        batch_size=4,
        epochs=epochs,
        validation_samples=2,
    )


def start(run_directory: Path, *arguments: str, devices: int = 1, **environment: str) -> subprocess.Popen:
    """The run in a process of its own."""
    command = [sys.executable, "-m", "tests.training.small_runs", str(run_directory), *arguments]
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla_flags(devices)}
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> list[int]:
    """Exit codes of processes that run side by side; what they printed is shown where one fails.

    Processes that wait for each other for ever are killed: a test that fails is better than one that hangs.
    """
    alarm = threading.Timer(_LONGEST, lambda: [process.kill() for process in processes])
    alarm.start()
    printed = [process.communicate()[0] for process in processes]
    alarm.cancel()
    codes = [process.returncode for process in processes]
    if any(code not in (0, 75) for code in codes):
        print(*printed, sep="\n")
    return codes


def kill(run_directory: Path, kills: int, seed: int = 0, **environment: str) -> int:
    """Starts the run, kills it while or soon after it saves, and so on, then lets it end; how often it was hit.

    A run that is through before it is hit is not begun again.
    """
    generator = random.Random(seed)
    for hit in range(kills):
        process, before = start(run_directory, **environment), _saved(run_directory)
        while process.poll() is None and _saved(run_directory) == before:
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.8))
        if process.poll() is not None:
            assert finish(process) == [0]
            return hit
        process.send_signal(signal.SIGKILL)
        process.communicate()
        check_readable(run_directory)
    assert finish(start(run_directory, **environment)) == [0]
    return kills


def _saved(run_directory: Path) -> list[str]:
    """States that are there or being written."""
    return sorted(os.listdir(run_directory / "latest")) if (run_directory / "latest").is_dir() else []


def check_readable(run_directory: Path) -> None:
    """What a killed run left can be read: its state by its own next start, its best model by whoever wants it."""
    import spotrust_jax
    from spotrust_jax.errors import InputError
    from tests.training.runs import latest

    if (run_directory / "latest").is_dir() and any(name.isdigit() for name in os.listdir(run_directory / "latest")):
        latest(config(), run_directory)
        try:
            spotrust_jax.load(run_directory / "best")
        except InputError as error:
            assert "no Orbax checkpoint" in str(error)  # before the first validation


def same_weights(one: Path, other: Path) -> bool:
    """Whether both runs ended with the same state, and have the same best model, bit for bit."""
    import jax
    import numpy as np

    import spotrust_jax
    from tests.training.runs import latest

    states = [jax.tree.leaves(latest(config(), folder)) for folder in (one, other)]
    models = [jax.tree.leaves(spotrust_jax.load(folder / "best").variables) for folder in (one, other)]
    return all(np.array_equal(a, b) for pair in (states, models) for a, b in zip(*pair, strict=True))


def _choose_network() -> None:
    from tests.training.small_network import use_it

    if "SPOTRUST_STUDY" not in os.environ:
        use_it(setattr)


def _study(kills: int) -> None:
    _choose_network()
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        whole, rest, runs = Path(folder) / "whole", kills, 0
        assert finish(start(whole, **cache)) == [0]
        while rest > 0:
            killed, runs = Path(folder) / f"killed{runs}", runs + 1
            rest -= kill(killed, min(rest, 5), seed=runs, **cache)
            assert same_weights(whole, killed)
            print(f"{kills - rest} kills in {runs} runs: weights equal bit for bit, every file readable", flush=True)


def _run(run_directory: str, arguments: list[str]) -> None:
    from absl import flags
    from spotrust_jax.launch import distributed, program

    from spotrust_jax.training.loop import train

    _choose_network()
    members = flags.DEFINE_integer("members", 1, "Networks.")

    def main() -> int:
        train(config(members.value), run_directory, program.devices())
        return 0

    sys.argv = [sys.argv[0], *arguments]
    program.run(main, join=distributed.join)


if __name__ == "__main__":
    if sys.argv[1].startswith("--kills="):
        _study(int(sys.argv[1].removeprefix("--kills=")))
    else:
        _run(sys.argv[1], sys.argv[2:])
