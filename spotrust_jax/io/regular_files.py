"""Regular files, whose reading ends: reading a pipe or a device in the place of one may wait for ever."""

import errno
import os
import stat
from pathlib import Path


def read_text(path: Path, errors: str = "strict") -> str:
    """Contents of a file in UTF-8; an `OSError` where it is missing, or is a pipe or a device."""
    require_regular(path)
    return path.read_text(encoding="utf-8", errors=errors)


def require_regular(path: Path) -> None:
    """Raises an `OSError` unless `path` is a file or a folder."""
    if is_special(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))


def is_special(path: Path) -> bool:
    """Whether it is a pipe, a socket or a device; an `OSError` where there is nothing."""
    mode = os.stat(path).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def special_file(folder: Path) -> Path | None:
    """A pipe, socket or device in or below a folder, if there is one; dangling links are ignored."""
    return next((path for path in sorted(folder.rglob("*")) if path.exists() and is_special(path)), None)
