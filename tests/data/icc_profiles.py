"""ICC profiles made byte by byte (ICC.1:2001-04), and what their colours are in sRGB, computed without any of them."""

import struct

import numpy as np

_D65, _D50 = (0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))

ADOBE_GAMMA = 563 / 256


def srgb_decoded(encoded):
    """Linear light from sRGB's curve, which Display P3 has as well (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def adobe_decoded(encoded):
    """Linear light from Adobe RGB's curve."""
    return encoded**ADOBE_GAMMA


def in_srgb(pixels, primaries, decoded):
    """8-bit colours of these primaries and this curve as sRGB shows them, clipped to its gamut; not rounded."""
    linear = decoded(np.asarray(pixels) / 255.0) @ _to_xyz(primaries).T @ np.linalg.inv(_to_xyz(SRGB)).T
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def matrix_profile(primaries, decoded):
    """A display profile of three primaries and one curve."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    white = _to_xyz(primaries).sum(axis=1)
    adapted = np.linalg.inv(bradford) @ np.diag((bradford @ _D50) / (bradford @ white)) @ bradford
    columns = (adapted @ _to_xyz(primaries)).T
    return _profile(b"RGB ", {name: _xyz(column) for name, column in zip(_COLUMNS, columns, strict=True)}, decoded)


def grey_profile(decoded):
    """A profile of greyscale with this curve."""
    return _profile(b"GRAY", {}, decoded)


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}


def _to_xyz(primaries):
    """Linear RGB to CIE XYZ, the white being D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = _D65
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def _profile(space, columns, decoded):
    curve = np.round(decoded(np.linspace(0, 1, 4096)) * 65535).astype(">u2").tobytes()
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(_D50),
        **columns,
        **{name: b"curv" + bytes(4) + struct.pack(">I", 4096) + curve for name in _CURVES[space]},
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", start + len(data), 0x02400000) + b"mntr" + space + b"XYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _numbers(_D50)
    return header.ljust(128, b"\0") + table + data


def _xyz(values):
    return b"XYZ " + bytes(4) + _numbers(values)


def _numbers(values):
    return struct.pack(">3i", *(round(value * 65536) for value in values))
