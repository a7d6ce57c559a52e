"""Damage to bytes, JSON, tables, images, files and flags, each a function of a random generator and what is valid."""

import copy
import io
import json
import os
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

# A command that shows where somebody executes what is given to be read.
MARKER = "EXECUTED"
_COMMAND = f"touch {MARKER}"

STRINGS = [
    "",
    " ",
    "../../escape",
    "/etc/passwd",
    "..\\..\\escape",
    "a\nb",
    "=1+1",
    "NaN",
    "inf",
    "1e400",
    "-1",
    "𝒳" * 300,
    "x" * 5000,
    "café",
    f"$({_COMMAND})",
    f"__import__('os').system('{_COMMAND}')",
    f"!!python/object/apply:os.system ['{_COMMAND}']",
    "%s%n{0}",
    "null",
]
_VALUES = [
    *STRINGS,
    "\0",
    "\ud800",
    None,
    True,
    0,
    -1,
    1e308,
    10**400,
    float("nan"),
    float("-inf"),
    [],
    {},
    [[[]]],
    [None],
    {"a": {}},
    0.5,
    2**31,
]

YAML = [
    f"!!python/object/apply:os.system ['{_COMMAND}']\n",
    f"names: !!python/object/apply:subprocess.check_output [['touch', '{MARKER}']]\n",
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "names: *i\n",
    "&a [*a]\n",
    "names: {0: {1: 2}}\n",
    "names:\n\t- x\n",
    "- 1\n- 2\n",
    "names: 2024-13-45\n",
    "? [1, 2]\n: 3\n",
]


def any_bytes(rng: random.Random, content: bytes) -> bytes:
    """A file that was cut off, overwritten, doubled, or that is something else."""
    if rng.random() < 0.2:
        return _with_other_bytes(rng, content)
    place = rng.randrange(len(content) + 1)
    return rng.choice(
        [
            b"",
            content[:place],
            content[:place] + rng.randbytes(rng.randrange(1, 64)) + content[place:],
            content[:place] + b"\0" * len(content[place : place + 200]) + content[place + 200 :],
            content + content,
            rng.randbytes(rng.randrange(1, 4000)),
            b"\xff\xfe" + content[:200],
            content.replace(b"\n", b"\r\n"),
        ]
    )


def _with_other_bytes(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 5, 50]) if content else 0):
        changed[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(changed)


def any_json(rng: random.Random, content: bytes) -> bytes:
    """A document with one value, key or entry that is not as it should be."""
    kind = rng.randrange(12)
    if kind == 0:
        return b"[" * 100_000
    if kind == 1:
        return b'{"a":' * 100_000
    if kind == 2:
        return any_bytes(rng, content)
    if kind == 3:
        return json.dumps(rng.choice(_VALUES)).encode()
    document = json.loads(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        _change(rng, document)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _change(rng: random.Random, document: object) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(STRINGS)] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder))
        case _:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))


def _places(node: object):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)


def any_table(rng: random.Random, content: bytes, separator: str) -> bytes:
    """A table with a cell, a line or a header that is not as it should be."""
    if rng.random() < 0.25:
        return any_bytes(rng, content)
    rows = [line.split(separator) for line in content.decode().splitlines()]
    row = rng.choice(rows)
    column = rng.randrange(len(row))
    match rng.randrange(6):
        case 0:
            del row[column]
        case 1:
            rows.append(list(row))
        case 2:
            row.insert(column, '"')
        case 3:
            row[column] += "\0"
        case _:
            row[column] = rng.choice(STRINGS)
    return "\n".join(separator.join(row) for row in rows).encode()


def any_yaml(rng: random.Random, content: bytes) -> bytes:
    """A bomb, a command, another type, or damaged text."""
    return rng.choice(YAML).encode() if rng.random() < 0.6 else any_bytes(rng, content)


def any_image(rng: random.Random, content: bytes) -> bytes:
    """A damaged picture, or a sound one of an unusual kind."""
    return any_bytes(rng, content) if rng.random() < 0.5 else rng.choice(_PICTURES)(rng)


def _saved(array: np.ndarray, format: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, format, **options)
    return file.getvalue()


def _bomb(rng: random.Random) -> bytes:
    """A PNG whose header says 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    lines = chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + lines + chunk(b"IEND", b"")


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _exif(rng: random.Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = rng.choice([0, 99, 6])
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = rng.choice(["S", "north", "", "?"]), rng.choice([(91.0, 0.0, 0.0), (1.0,), (0.0, 0.0, 0.0)])
    gps[3], gps[4] = "W", (500.0, 0.0, 0.0)
    return _saved(_noise((48, 64, 3)), "JPEG", exif=exif)


_PICTURES: list[Callable[[random.Random], bytes]] = [
    _bomb,
    _exif,
    lambda rng: _saved(_noise((1, 1, 3)), "PNG"),
    lambda rng: _saved(_noise((1, 900, 3)), "PNG"),
    lambda rng: _saved(_noise((48, 64)), "PNG", "1"),
    lambda rng: _saved(_noise((48, 64, 4)), "PNG"),
    lambda rng: _saved(_noise((48, 64, 3)), "PNG", "P"),
    lambda rng: _saved(_noise((48, 64, 3)), "JPEG", "CMYK"),
    lambda rng: _saved(_noise((48, 64)).astype(np.uint16) * 257, "PNG"),
    lambda rng: _saved(np.full((48, 64), np.nan, np.float32), "TIFF"),
    lambda rng: _saved(_noise((48, 64, 3)), "PNG", icc_profile=rng.randbytes(300)),
    lambda rng: _saved(_noise((48, 64, 3)), "BMP"),
    lambda rng: b"#!/bin/sh\n" + _COMMAND.encode(),
    lambda rng: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
]


def replace_file(rng: random.Random, path: Path) -> str:
    """Puts something that is no file of its kind in a file's place, and says what."""
    kind = rng.choice(["gone", "folder", "fifo", "loop", "dangling link", "device", "link out", "unreadable name"])
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "dangling link":
            path.symlink_to("nowhere")
        case "device":
            path.symlink_to("/dev/zero")
        case "link out":
            path.symlink_to("/etc/passwd")
        case "unreadable name":
            raw = os.fsencode(path.parent) + b"/\xff\n\x1b[31m" + os.fsencode(path.suffix)
            Path(os.fsdecode(raw)).write_bytes(b"x")
    return kind


def any_flags(rng: random.Random, valid: dict[str, str], others: Sequence[str]) -> list[str]:
    """The valid flags with one that is wrong, missing, doubled or unknown; `others` may be given as well."""
    given = dict(valid)
    name = rng.choice([*valid, *others])
    extra = []
    match rng.randrange(8):
        case 0:
            given.pop(name, None)
        case 1:
            extra = [
                rng.choice(["--nonsense", "-", "--", "--=", "x.jpg", "--flagfile=nowhere", "--undefok=x", f"--{name}"])
            ]
        case 2:
            extra = [f"--{name}={rng.choice(STRINGS)}", f"--{name}={rng.choice(STRINGS)}"]
        case 3 if others:
            given[name] = rng.choice(["0", "1", "-1", "1e9", "99999999999999999999", "0.5", "true"])
        case _:
            given[name] = rng.choice(STRINGS)
    return [*(f"--{name}={value}" for name, value in given.items()), *extra]
