"""JSON and YAML files, of which nothing is taken for granted."""

import json
import re
import reprlib
from pathlib import Path

import yaml

from spotrust_jax.data.prepare.readers.listing import files_below
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.errors import InputError

_SAMPLE = 50  # files that are looked into when the format is to be recognised

_MOST_JSON = 1 << 30  # bytes; Python needs some ten times as much memory
_MOST_YAML = 1 << 20  # bytes; a data.yaml has a few hundred

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 40


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, by which a few lines can stand for more than any memory holds."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases (*name), which are not read")
        return super().compose_node(parent, index)


def json_files(root: Path) -> list[Path]:
    """All JSON files in and below a folder."""
    return files_below(root, {".json"})


def any_has_keys(root: Path, keys: tuple[str, ...], without: tuple[str, ...] = ()) -> bool:
    """Whether one of the first JSON files has all these keys somewhere and none of the others.

    It is seen by the text, so that broken files are recognised, too.
    """
    texts = map(_text, json_files(root)[:_SAMPLE])
    return any(all(_has(text, key) for key in keys) and not any(_has(text, key) for key in without) for text in texts)


def json_object(file: Path, name: str) -> dict:
    """The object in a file, called `name` in the `UnusableError` that says why there is none."""
    content = json_value(file, name)
    if not isinstance(content, dict):
        raise UnusableError("unreadable_label", f"{name} holds no JSON object: export it again")
    return content


def json_value(file: Path, name: str) -> object:
    """What a JSON file holds; an `UnusableError` where it is no JSON."""
    try:
        if file.stat().st_size > _MOST_JSON:
            raise ValueError(f"larger than {_MOST_JSON >> 20} MB")
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UnusableError("unreadable_label", f"{name} is not JSON ({reason}): export it again") from error


def yaml_object(file: Path) -> dict:
    """The entries of a YAML file; an `InputError` where it has none, or more than any description of labels."""
    try:
        if file.stat().st_size > _MOST_YAML:
            raise ValueError(f"larger than {_MOST_YAML >> 20} MB")
        content = yaml.load(file.read_text("utf-8-sig"), _PlainLoader)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read ({reason}): correct or remove it") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} has no entries such as names: correct or remove it")
    return content


def positive_size(height: object, width: object) -> tuple[int, int] | None:
    """Height and width where JSON gives both as whole numbers above 0."""
    sides = [_whole(side) for side in (height, width)]
    sizes = [side for side in sides if side is not None and 1 <= side < 2**31]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None


def identifier(value: object) -> str | None:
    """What identifies an entry, the same for 7, 7.0 and "7"; None where that is no number or text."""
    number = _whole(value)
    if number is not None:
        return str(number)
    return value.strip() if isinstance(value, str) and value.strip() else None


def shown(value: object) -> str:
    """A value of the JSON as messages show it, however large it is."""
    return " ".join(_SHORT.repr(value).split())


def _whole(value: object) -> int | None:
    """A whole number, also written as text or as a float; bool is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value, re.ASCII) else None


def _has(text: str, key: str) -> bool:
    return re.search(rf'"{key}"\s*:', text) is not None


def _text(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return content.read(_MOST_JSON).decode("utf-8", errors="replace")
    except OSError:
        return ""
