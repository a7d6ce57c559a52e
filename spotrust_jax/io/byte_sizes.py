"""Numbers of bytes as they are told to people."""

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def in_words(size: int) -> str:
    """Bytes in the largest unit of which there is one."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (1, "bytes"))
    return f"{size / unit:.{0 if unit == 1 else 1}f} {name}"
