"""Data that a page carries, as JSON that no name of a file can break out of, and where they are kept until then."""

import json
import re
from pathlib import Path
from typing import Any

from spotrust_jax.errors import InputError
from spotrust_jax.io.atomic_files import write_atomically
from spotrust_jax.outputs.map_files import beside
from spotrust_jax.outputs.region_writer import PARTS

# Ends of scripts, comments in them, and line ends that JSON knows and older JavaScript does not.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
# A page that was opened from disk may load scripts from beside it, but no other data.
_OPENING, _CLOSING = "spotrustDetail(", ");\n"


def script_json(value: Any) -> str:
    """JSON that can stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Lone surrogates, which names of files may have, have no UTF-8.
    text = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    for letter, escape in _ESCAPES.items():
        text = text.replace(letter, escape)
    return text


def detail_part(output: Path, stem: str) -> Path:
    """Where what the page shows of a photograph is kept, by the stem of its maps."""
    return beside(output / PARTS / stem, ".js")


def thumbnail_part(output: Path, stem: str) -> Path:
    """Where its small picture is kept."""
    return beside(output / PARTS / stem, ".jpg")


def write_detail(path: Path, detail: dict[str, Any]) -> None:
    """Writes a part as a script that hands it to the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{_OPENING}{script_json(detail)}{_CLOSING}")


def detail_json(path: Path) -> str:
    """The part alone, as JSON that can stand in a script element."""
    try:
        return path.read_text(encoding="utf-8").removeprefix(_OPENING).removesuffix(_CLOSING)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} of an earlier run is damaged ({error}): run again with --overwrite") from error
