"""JSON files, of which nothing is taken for granted."""

import json
import re
from pathlib import Path

from spotrust_jax.data.readers.listing import files_below
from spotrust_jax.data.source import UnusableError

_SAMPLE = 50  # files that are looked into when the format is to be recognised


def json_files(root: Path) -> list[Path]:
    """All JSON files in and below a folder."""
    return files_below(root, {".json"})


def any_has_key(root: Path, key: str) -> bool:
    """Whether one of the first JSON files has this key somewhere, by its text: broken files are recognised, too."""
    pattern = re.compile(rf'"{key}"\s*:')
    return any(pattern.search(_text(file)) for file in json_files(root)[:_SAMPLE])


def json_object(file: Path, name: str) -> dict:
    """The object in a file, called `name` in the `UnusableError` that says why there is none."""
    try:
        document = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UnusableError("unreadable_label", f"{name} is not JSON ({reason}): export it again") from error
    if not isinstance(document, dict):
        raise UnusableError("unreadable_label", f"{name} holds no JSON object: export it again")
    return document


def positive_size(height: object, width: object) -> tuple[int, int] | None:
    """Height and width where a document states both as whole numbers above 0."""
    sizes = [int(side) for side in (height, width) if isinstance(side, int | float) and 1 <= side < 2**31]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""
