"""The flag --config and those that change its fields: what absl and ml_collections leave to tracebacks is one line."""

import ast
import runpy
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from spotrust_jax.errors import InputError

_EXAMPLE = "give one such as configs/demo.py"


class _TupleParser(flags.ArgumentParser):
    """Reads a tuple. That of ml_collections would join the values of a flag that is given twice."""

    syntactic_help = "values in brackets"

    def parse(self, argument: Any) -> tuple[Any, ...]:
        if not isinstance(argument, str):
            return tuple(argument)
        try:
            value = ast.literal_eval(argument)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise ValueError("give numbers in brackets, such as '(64, 64)'") from error
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)

    def flag_type(self) -> str:
        return "tuple"


def replace_tuples() -> None:
    """From here on, a tuple on the command line replaces the one before."""
    config_flags.register_flag_parser_for_type(tuple, _TupleParser())


def complete(arguments: list[str], installed: Path, kind: str = "TrainConfig", default: str = "") -> list[str]:
    """The command line with --config=FILE for what may be in the folder `installed`.

    `kind` is the class of `spotrust_jax.config` that has the fields. Where no file is named, `default` in that folder
    is taken, unless it is empty.

    Raises:
        InputError: where the file is not there or cannot be loaded, or --config.FIELD is no field.
    """
    completed, rest, named = arguments[:1], arguments[1:], False
    while rest:
        argument, *rest = rest
        name, equals, value = argument.lstrip("-").partition("=")
        if name == "config" and not equals and rest:
            value, *rest = rest
        if name.startswith("config."):
            _require_field(name, kind)
        named |= name == "config"
        completed.append(f"--config={_loadable(value, installed)}" if name == "config" else argument)
    if default and not named:
        # Before the fields, which are known by it alone.
        completed.insert(1, f"--config={installed / default}")
    return completed


def _require_field(name: str, kind: str) -> None:
    from spotrust_jax import config, fields  # noqa: PLC0415 (only where a field is changed)

    fields.require_field(getattr(config, kind), name)


def _loadable(value: str, installed: Path) -> str:
    """The config file with its argument, once it is known to load."""
    path, separator, parameter = value.partition(":")
    file = next((file for file in (Path(path), installed / path) if file.is_file()), None)
    if file is None:
        raise InputError(f"config file {path or 'with an empty name'} does not exist: {_EXAMPLE}")
    try:
        config = runpy.run_path(str(file))["get_config"](*[parameter] * bool(separator))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"config file {value} cannot be loaded ({type(error).__name__}: {error}): {_EXAMPLE}"
        ) from error
    if not hasattr(config, "to_dict"):
        raise InputError(f"get_config of config file {value} gives {config!r:.50}, not a ConfigDict: {_EXAMPLE}")
    return f"{file}{separator}{parameter}"
