"""Programs run within this process, since starting Python, importing jax and tracing a network take seconds.

Where the process itself is what is tested, such as signals, imports and platforms, tests start one.
"""

import contextlib
import faulthandler
import gc
import importlib
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
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


def call(name: str, arguments: Iterable[object], folder: Path, limit: int = _LIMIT) -> Outcome:
    """Runs `launch/NAME.py` in a folder, as `spotrust NAME ARGUMENTS` would, on one device unless they say more."""
    _forget_programs()
    before = os.getcwd(), sys.argv, sys.stdout, sys.stderr
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    os.chdir(folder)
    sys.argv = [f"spotrust {name}", "--num_devices=1", *map(str, arguments)]
    sys.stdout, sys.stderr = streams
    try:
        with _same_logs():
            code = _exit_code(name, limit)
    finally:
        os.chdir(before[0])
        sys.argv, sys.stdout, sys.stderr = before[1:]
    return Outcome(code, *(_text(stream) for stream in streams))


@contextlib.contextmanager
def _same_logs() -> Iterator[None]:
    """Programs say where the lines of the library's log go; afterwards they go where they went before."""
    log = logging.getLogger("spotrust_jax")
    before = log.level, log.handlers, log.propagate
    yield
    log.setLevel(before[0])
    log.handlers, log.propagate = before[1:]


def _exit_code(name: str, limit: int) -> int | None:
    def too_slow(*_) -> None:
        raise TooSlowError

    program = importlib.import_module("spotrust_jax.launch.program")
    program._prepare_jax = lambda join: join()  # jax is there already, with the devices that it has
    gc.freeze()  # collecting what was there before would take longer than most programs
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
        gc.unfreeze()
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
