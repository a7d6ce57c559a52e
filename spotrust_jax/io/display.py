"""Sizes and names of files as messages and tables show them."""

import os
import re

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))

# Control characters and ends of lines, which a name of a file may have, and how Python holds bytes that are no UTF-8.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]")


def size_in_words(size: int) -> str:
    """Bytes in the largest unit of which there is one."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (1, "bytes"))
    return f"{size / unit:.{0 if unit == 1 else 1}f} {name}"


def escaped(name: str) -> str:
    """A name of a file as text of one line: what is no printable text is written as in addresses, `caf%E9`."""
    return _UNPRINTABLE.sub(lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), name)
