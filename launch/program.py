"""What every program does around its own work: flags, help, devices, Ctrl-C, one-line errors and exit codes.

Exit codes: 0 for success, 1 for a run that failed, 2 for input that cannot be used, 75 for one that was asked to stop
and goes on when started again, 130 for Ctrl-C.
"""

import importlib
import io
import logging as builtin_logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import flags, logging

from spotrust_jax.command_line import interruption
from spotrust_jax.command_line.help import help_of, is_required
from spotrust_jax.errors import InputError, RunError

_PLATFORM = flags.DEFINE_enum("platform", "auto", ["auto", "cpu", "gpu", "tpu"], "Where to compute.")
_NUM_DEVICES = flags.DEFINE_integer("num_devices", 0, "Devices to use; 0 is all of them.", lower_bound=0)

# jax's name of the platform that the flag calls gpu.
_JAX_PLATFORM = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def writable(folder: Path) -> Path:
    """A folder of the flag --output, which is made where it is missing; asked before anything expensive begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(f"--output={folder} cannot be written ({error.strerror}): give another folder") from error


def run(
    main: Callable[[], int],
    prepare: Callable[[list[str]], list[str]] = list,
    join: Callable[[], None] = lambda: None,
    config: str = "",
) -> None:
    """Parses the flags, chooses the devices, calls `main` and exits with its code.

    `prepare` may check or complete the command line before it is parsed, `join` may meet other processes before jax
    looks at the devices. `config` names the class of `spotrust_jax.config` whose fields --config.FIELD changes.
    """
    with interruption.closing_in_time() as ctrl_c:
        try:
            sys.exit(_code(main, prepare, join, config))
        except KeyboardInterrupt:
            sys.exit(ctrl_c.say())
        except Exception:
            # Compiled code may turn Ctrl-C into an error of its own.
            if not ctrl_c.pressed:
                raise
            sys.exit(ctrl_c.say())


def _code(
    main: Callable[[], int], prepare: Callable[[list[str]], list[str]], join: Callable[[], None], config: str
) -> int:
    """The exit code; what the user can mend is one line on standard error."""
    # Names of files may have letters that the terminal has not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if any(argument in ("--help", "-help", "-h") for argument in sys.argv[1:]):
            print(_help(main, config))
            return 0
        _parse(prepare(sys.argv))
        _prepare_logs()
        _prepare_jax(join)
        return main()
    except (InputError, RunError, OSError, MemoryError) as error:
        return _exit_code(error)


def _exit_code(error: InputError | RunError | OSError | MemoryError) -> int:
    """The exit code of an error, after its line."""
    match error:
        case InputError():
            return _complain(error, 2)
        case RunError():
            return _complain(error, error.exit_code)
        case MemoryError():
            return _complain("the memory is used up: give it less at a time", 1)
        case BrokenPipeError():
            # Whoever read the output has gone, as `head` does; Python would complain again when it closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        case _:
            return _complain(f"{error.filename or 'a file'}: {error.strerror or error}", 1)


def _help(main: Callable[[], int], config: str) -> str:
    program = sys.modules[main.__module__]
    name = Path(str(program.__file__)).stem
    # Programs outside launch/ are packages that are no commands of spotrust.
    command = f"python -m {program.__package__}" if name == "__main__" else f"spotrust {name}"
    defaults = getattr(importlib.import_module("spotrust_jax.config"), config)() if config else None
    return help_of(program, command, str(__package__), defaults)


def _parse(arguments: list[str]) -> None:
    """Sets the flags.

    Raises:
        InputError: for one that is missing, unknown or has no such value, and for what is no flag.
    """
    try:
        rest = flags.FLAGS(arguments)
    except (flags.Error, TypeError, ValueError) as error:
        # absl's own words for flags that are missing are a sentence for each, about None.
        missing = [
            f"--{flag.name}"
            for flag in map(flags.FLAGS.__getitem__, flags.FLAGS)
            if is_required(flag) and not flag.present
        ]
        if isinstance(error, flags.IllegalFlagValueError) and "other than None" in str(error):
            raise InputError(f"{', '.join(missing)} must be given: --help lists all flags") from error
        remedy = ": --help lists all flags" if isinstance(error, flags.UnrecognizedFlagError) else ""
        raise InputError(f"{error}{remedy}") from error
    if len(rest) > 1:
        raise InputError(f"unexpected argument {rest[1]!r}: options are written --name=value")


class _Lines(builtin_logging.Handler):
    """Shows what the library logs as lines above a progress bar."""

    def emit(self, record: builtin_logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(record.getMessage(), file=sys.stderr)


def _prepare_logs() -> None:
    logger = builtin_logging.getLogger("spotrust_jax")
    logger.setLevel(builtin_logging.INFO)
    logger.handlers, logger.propagate = [_Lines()], False
    logging.set_verbosity(logging.WARNING)
    # Where a disk is full Orbax leaves a page of these for each file; the one line says it.
    builtin_logging.getLogger("asyncio").setLevel(builtin_logging.CRITICAL)
    # XLA's advice to report a slow compilation is for its authors; its errors reach us as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def warn(what: str | None, of: str = "") -> None:
    """One line on standard error, unless there is nothing to say; the program goes on."""
    if what is not None:
        print(f"warning: {of}{': ' * bool(of)}{what}", file=sys.stderr)


def devices() -> list:
    """The devices chosen by --platform and --num_devices."""
    import jax

    try:
        found = jax.devices()
    # jax asserts, instead of raising, where the plugin of a platform is not installed.
    except (RuntimeError, AssertionError) as error:
        raise InputError(_absent()) from error
    wanted = f"--num_devices={_NUM_DEVICES.value}"
    if _NUM_DEVICES.value and jax.process_count() > 1:
        raise InputError(f"{wanted} does not apply to several processes: leave it out, each uses all of its devices")
    if _NUM_DEVICES.value > len(found):
        raise InputError(f"{wanted} but this machine has {len(found)}: ask for fewer, or 0 for all")
    return found[: _NUM_DEVICES.value or None]


def _absent() -> str:
    """What to say of a platform that is not there: it comes from the flag or, without one, from the environment."""
    variable = os.environ.get("JAX_PLATFORMS")
    if _PLATFORM.value != "auto":
        # With the variable, auto would ask for its platform.
        remedy = "unset JAX_PLATFORMS, or try --platform=cpu" if variable else "try --platform=auto"
        return f"--platform={_PLATFORM.value} is not on this machine: {remedy}"
    if variable:
        return f"JAX_PLATFORMS={variable} asks for a platform that is not there: unset it or give --platform=cpu"
    return "jax finds no device on this machine: give --platform=cpu"


def _prepare_jax(join: Callable[[], None]) -> None:
    """Platform, number of host devices, cache of compiled programs and other processes, then a look at the devices."""
    import jax

    if _PLATFORM.value != "auto":
        jax.config.update("jax_platforms", _JAX_PLATFORM[_PLATFORM.value])
    if _PLATFORM.value == "cpu" and _NUM_DEVICES.value:
        jax.config.update("jax_num_cpu_devices", _NUM_DEVICES.value)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "spotrust_jax" / "xla"))
    join()
    devices()


def _complain(problem: object, code: int) -> int:
    """One line on standard error; spaces stay as they are, since names of files may have several."""
    line = " ".join(part.strip() for part in str(problem).splitlines())
    print(f"error: {line}", file=sys.stderr)
    return code
