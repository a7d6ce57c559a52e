"""Programs run within this process, since starting Python and importing jax takes seconds."""

import faulthandler
import gc
import importlib
import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

from absl import flags

# Seconds that a program may take, on a busy machine.
_LIMIT = 300


class Outcome(NamedTuple):
    """What a program left: its exit code (None after an exception), and what it printed."""

    code: int | None
    stdout: str
    stderr: str


class TooSlowError(BaseException):
    """The time is over. No Exception, which a program might take for one of its own."""


def call(name: str, arguments: list[str], folder: Path, limit: int = _LIMIT) -> Outcome:
    """Runs `launch/NAME.py` in a folder, as `spotrust NAME ARGUMENTS` would."""
    _forget_programs()
    before = os.getcwd(), sys.argv, sys.stdout, sys.stderr
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    os.chdir(folder)
    sys.argv = [f"spotrust {name}", "--num_devices=1", *arguments]
    sys.stdout, sys.stderr = streams
    try:
        code = _exit_code(name, limit)
    finally:
        os.chdir(before[0])
        sys.argv, sys.stdout, sys.stderr = before[1:]
    return Outcome(code, *(_text(stream) for stream in streams))


def _exit_code(name: str, limit: int) -> int | None:
    def too_slow(*_) -> None:
        raise TooSlowError

    program = importlib.import_module("spotrust_jax.launch.program")
    program._prepare_jax = lambda join: None  # jax is there already, with the devices that it has
    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(limit)
    faulthandler.dump_traceback_later(3 * limit, exit=True, file=sys.__stderr__)
    try:
        importlib.import_module(f"spotrust_jax.launch.{name}").run()
    except SystemExit as ended:
        return ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        gc.collect()  # what is only said when objects go belongs to this program, not to the next
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
    return None


def _forget_programs() -> None:
    """Each program defines its flags when it is imported, and no flag may be defined twice."""
    modules = [name for name in sys.modules if name.startswith("spotrust_jax.launch.")]
    defined = [flag.name for name in modules for flag in flags.FLAGS.flags_by_module_dict().get(name, [])]
    overrides = [name for name in flags.FLAGS if name.startswith("config.")]
    for name in {*defined, *overrides}:
        delattr(flags.FLAGS, name)
    for name in modules:
        # Else `from . import program` would find it as an attribute of the package.
        delattr(sys.modules["spotrust_jax.launch"], name.rpartition(".")[2])
        del sys.modules[name]


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")
