"""The console command: `spotrust NAME --flag=value` runs the program NAME of `launch/`, and imports no other."""

import difflib
import importlib
import sys
from types import ModuleType

import spotrust_jax
from spotrust_jax.command_line import interruption


def main() -> None:
    """Runs the program named first on the command line, or says what there is to run."""
    interruption.end_at_once()
    name, *rest = sys.argv[1:] or [""]
    if name in ("--help", "-h", "help"):
        print(_overview())
    elif name == "--version":
        print(f"spotrust {spotrust_jax.__version__}")
    elif name == "completion":
        sys.exit(_complete(rest))
    elif name in _names():
        del sys.argv[1]
        _program(name).run()
    else:
        sys.exit(_unknown(name))


def _program(name: str) -> ModuleType:
    return importlib.import_module(f"spotrust_jax.launch.{name}")


def _commands() -> list:
    from spotrust_jax.command_line.help import commands  # noqa: PLC0415

    return commands(importlib.import_module("spotrust_jax.launch"))


def _names() -> list[str]:
    return [command.name for command in _commands()]


def _overview() -> str:
    from spotrust_jax.command_line.help import overview  # noqa: PLC0415

    return overview(_commands(), str(spotrust_jax.__doc__).partition("\n")[0])


def _complete(arguments: list[str]) -> int:
    """Prints a completion script or, for one, the words that the last one of --line=WORDS may become."""
    from spotrust_jax.command_line.completion import script, words  # noqa: PLC0415
    from spotrust_jax.errors import InputError  # noqa: PLC0415

    shell = " ".join(arguments)
    try:
        line = shell.removeprefix("--line=")
        print(script(shell) if line == shell else "\n".join(words(line, _commands(), _program)))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _unknown(name: str) -> int:
    names = _names()
    close = difflib.get_close_matches(name, names, n=1)
    wrong = f"spotrust has no command {name!r}: " if name else "no command is given: "
    nearest = f"did you mean {close[0]}? There are " if close else "choose one of "
    print(f"error: {wrong}{nearest}{','.join(names)}; spotrust --help says more", file=sys.stderr)
    return 2
