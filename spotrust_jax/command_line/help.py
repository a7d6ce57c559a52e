"""Help of the programs, from their docstrings and from the flags that they define."""

import ast
import inspect
import re
import shutil
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from absl import flags

from spotrust_jax.fields import Field, describe

# Columns of a flag before its explanation begins on a line of its own.
_FLAG_WIDTH = 28


class Command(NamedTuple):
    """A program of launch/ and the first sentence of its docstring."""

    name: str
    summary: str


class Section(NamedTuple):
    """Flags that one module defines, in its order."""

    title: str
    flags: list[flags.Flag]


def commands(launch: ModuleType) -> list[Command]:
    """The modules of launch/ that have a function `main`; none is imported."""
    found = []
    for path in sorted(path for folder in launch.__path__ for path in Path(folder).glob("*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found.append(Command(path.stem, _first_sentence(ast.get_docstring(tree))))
    return found


def overview(found: list[Command], description: str) -> str:
    """What `spotrust --help` prints."""
    width = max(len(command.name) for command in found)
    lines = [_hanging(f"  {command.name:{width}}  ", command.summary) for command in found]
    usage = "usage: spotrust COMMAND --flag=value ..."
    ending = (
        "spotrust COMMAND --help shows the flags of a command, spotrust --version the version, and spotrust completion "
        "SHELL prints a completion script for bash, zsh or fish."
    )
    return "\n".join([usage, "", _hanging("", description), "", "commands:", *lines, "", _hanging("", ending)])


def help_of(program: ModuleType, command: str, launch: str, config: Any = None) -> str:
    """What `COMMAND --help` prints: what the program does, and its flags with their defaults; `launch` as below.

    `config` is a configuration with its defaults, where --config.FIELD changes its fields.
    """
    found = sections(program, launch)
    required = [f"--{flag.name}={_kind(flag)}" for section in found for flag in section.flags if is_required(flag)]
    usage = _hanging("usage: ", " ".join([command, *required, "[--flag=value ...]"]))
    lines = [usage, *(f"\n{_paragraph(text)}" for text in (inspect.getdoc(program) or "").split("\n\n"))]
    for section in found:
        lines += ["", f"{section.title}:", *map(_flag_lines, section.flags)]
    if config is not None:
        lines += ["", "Fields of the configuration, with the defaults where the config file does not set them:"]
        lines += map(_field_lines, describe(config))
    return "\n".join(lines)


def sections(program: ModuleType, launch: str) -> list[Section]:
    """The flags of an imported program: its own, those that it shares with others, those of all; none of absl's.

    `launch` is the name under which the package of shared flags was imported.
    """
    by_module = flags.FLAGS.flags_by_module_dict()
    # A program that `python -m` started is registered by the name of its file.
    own = [flag for name in (program.__name__, str(program.__file__)) for flag in by_module.get(name, [])]
    shared, of_all = f"{launch}.", f"{launch}.program"
    others = [name for name in by_module if name.startswith(shared) and name not in (program.__name__, of_all)]
    found = [Section(_first_sentence(sys.modules[name].__doc__), by_module[name]) for name in others]
    return [Section("Flags", own), *found, Section("Flags of every command", by_module[of_all])]


def is_required(flag: flags.Flag) -> bool:
    """Whether a program cannot do without the flag."""
    return any(
        validator.message == f"Flag --{flag.name} must have a value other than None." for validator in flag.validators
    )


def _flag_lines(flag: flags.Flag) -> str:
    written = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}={_kind(flag)}"
    return _entry(written, _explanation(flag) + _default(flag))


def _field_lines(field: Field) -> str:
    return _entry(f"--config.{field.path}=...", f"{field.meaning} ({field.values}; default: {field.default})")


def _entry(written: str, explanation: str) -> str:
    """An option and its explanation, beside it or below."""
    if len(written) <= _FLAG_WIDTH:
        return _hanging(f"  {written:{_FLAG_WIDTH}}  ", explanation)
    return "\n".join([f"  {written}", _hanging(" " * (_FLAG_WIDTH + 4), explanation)])


def _explanation(flag: flags.Flag) -> str:
    """The flag's help; absl begins that of an enumeration with its values."""
    values = f"<{'|'.join(flag.parser.enum_values)}>: " if isinstance(flag, flags.EnumFlag) else ""
    return " ".join(flag.help.removeprefix(values).split())


def _kind(flag: flags.Flag) -> str:
    """What stands for the flag's value."""
    if isinstance(flag, flags.EnumFlag):
        return "|".join(flag.parser.enum_values)
    names = {"int": "N", "float": "X", "comma separated list of strings": "A,B,..."}
    return names.get(flag.flag_type(), "...")


def _default(flag: flags.Flag) -> str:
    if is_required(flag):
        return " (required)"
    if flag.default in (None, [], ""):
        return ""
    value = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
    return f" (default: {str(value).lower() if flag.boolean else value})"


def _first_sentence(docstring: str | None) -> str:
    """Without its full stop."""
    return re.split(r"\.(?:\s|$)", " ".join((docstring or "").split()), maxsplit=1)[0]


def _paragraph(text: str) -> str:
    """Filled, unless it is of command lines."""
    lines = [line.strip() for line in text.splitlines()]
    if lines[0].startswith(("spotrust ", "python -m ")):
        return "\n".join(f"  {line}" for line in lines)
    return _hanging("", " ".join(lines))


def _hanging(start: str, words: str) -> str:
    """Words in lines as wide as the terminal; those after the first are indented as far as the first one's words."""
    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.fill(words, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)
