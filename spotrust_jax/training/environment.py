"""The machine and the versions of packages that a result belongs to."""

import datetime
import importlib.metadata
import os
import platform

import jax

_PACKAGES = ("spotrust-jax", "jax", "jaxlib", "flax", "numpy", "grain", "pillow")


def environment() -> dict[str, str]:
    """Date (UTC), device and versions."""
    devices = jax.devices()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
