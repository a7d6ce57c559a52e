"""The console command: `spotrust NAME --flag=value` runs the program NAME of `launch/`, and imports no other."""

import importlib
import pkgutil
import sys

# What the programs share.
_NOT_PROGRAMS = ("analysis_flags", "distributed", "mask_flags", "picture_flags", "program", "report_flags")


def main() -> None:
    """Hands the rest of the command line to the program named first."""
    launch = importlib.import_module("spotrust_jax.launch")
    names = sorted(info.name for info in pkgutil.iter_modules(launch.__path__) if info.name not in _NOT_PROGRAMS)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        wrong = f"spotrust has no command {sys.argv[1]!r}. " if len(sys.argv) > 1 else ""
        print(f"{wrong}usage: spotrust {{{','.join(names)}}} --flag=value ...", file=sys.stderr)
        sys.exit(2)
    name = sys.argv.pop(1)
    importlib.import_module(f"spotrust_jax.launch.{name}").run()
