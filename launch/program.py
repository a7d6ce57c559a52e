"""What every program does around its own work: flags, devices, one-line errors and exit codes.

Exit codes: 0 for success, 1 for a run that failed, 2 for input that cannot be used, 75 for one that was asked to stop
and goes on when started again, 130 for Ctrl-C.
"""

import logging as builtin_logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging

from spotrust_jax.errors import InputError, RunError

_PLATFORM = flags.DEFINE_enum("platform", "auto", ["auto", "cpu", "gpu", "tpu"], "Where to compute.")
_NUM_DEVICES = flags.DEFINE_integer("num_devices", 0, "Devices to use; 0 is all of them.", lower_bound=0)

# jax's name of the platform that the flag calls gpu.
_JAX_PLATFORM = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def run(
    main: Callable[[], int],
    prepare: Callable[[list[str]], list[str]] = list,
    join: Callable[[], None] = lambda: None,
) -> None:
    """Parses the flags, chooses the devices, calls `main` and exits with its code.

    `prepare` may check or complete the command line before it is parsed, `join` may meet other processes before jax
    looks at the devices.
    """

    def guarded(arguments: list[str]) -> None:
        try:
            if len(arguments) > 1:
                raise InputError(f"unexpected argument {arguments[1]!r}: options are written --name=value")
            _prepare_jax(join)
            code = main()
        except InputError as error:
            code = _complain(error, 2)
        except RunError as error:
            code = _complain(error, error.exit_code)
        except KeyboardInterrupt:
            code = _complain("interrupted", 130)
        sys.exit(code)

    def parse(arguments: list[str]) -> list[str]:
        try:
            return flags.FLAGS(prepare(arguments))
        except (flags.Error, InputError, TypeError, ValueError) as error:
            sys.exit(_complain(error, 2))

    logging.set_verbosity(logging.WARNING)
    # Where a disk is full Orbax leaves a page of these for each file; the one line says it.
    builtin_logging.getLogger("asyncio").setLevel(builtin_logging.CRITICAL)
    app.run(guarded, flags_parser=parse)


def devices() -> list:
    """The devices chosen by --platform and --num_devices."""
    import jax

    try:
        found = jax.devices()
    # jax asserts, instead of raising, where the plugin of a platform is not installed.
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--platform={_PLATFORM.value} is not on this machine: try --platform=auto") from error
    wanted = f"--num_devices={_NUM_DEVICES.value}"
    if _NUM_DEVICES.value and jax.process_count() > 1:
        raise InputError(f"{wanted} cannot be had of several processes: leave it out, each uses all of its devices")
    if _NUM_DEVICES.value > len(found):
        raise InputError(f"{wanted} but this machine has {len(found)}: ask for fewer, or 0 for all")
    return found[: _NUM_DEVICES.value or None]


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
    """One line on standard error."""
    print(f"error: {' '.join(str(problem).split())}", file=sys.stderr)
    return code
