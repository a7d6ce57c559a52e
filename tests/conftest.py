"""Strict settings for all tests: eight host devices, no rank promotion, shapes checked at run time.

`../shared` holds photographs and reference numbers that are no part of the project: tests that need it skip without it.
"""

import gc
import os
from pathlib import Path

import pytest

from tests.compilation import xla_flags

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags(devices=8)}"

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile much and compute little; the same holds for the programs that they start.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
install_import_hook(["spotrust_jax", "experiments"], "beartype.beartype")

REPOSITORY = Path(__file__).resolve().parent.parent


# Where the slow modules are: what one worker begins last, the other waits for.
_FIRST = ("training", "experiments", "launch", "tests", "inference", "export")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow folders first."""
    place = {folder: number for number, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(_FIRST)))


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory) -> str:
    """Folder of compiled programs, so that none is compiled twice in a session, also not by the programs it starts."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tmp_path_factory.getbasetemp()
        # A worker's folder lies in the session's, which all workers share.
        folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    return jax.config.jax_compilation_cache_dir


@pytest.fixture(scope="module", autouse=True)
def room_for_programs():
    """Drops what is compiled before it fills the process's memory mappings, of which Linux allows 65,530.

    Each program holds hundreds of them; beyond the limit XLA ends the process with a segmentation fault.
    """
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


def _shared(folder: str) -> Path:
    path = REPOSITORY.parent / "shared" / folder
    if not path.is_dir():
        pytest.skip(f"needs ../shared/{folder}, which is not here")
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the reference numbers and weights; SPOTRUST_GOLDEN is another that tests/golden_weights.py wrote."""
    return Path(os.environ["SPOTRUST_GOLDEN"]) if "SPOTRUST_GOLDEN" in os.environ else _shared("golden")


@pytest.fixture(scope="session")
def corrosion_photos() -> Path:
    """Folder of 79 labelled photographs: images/, masks/, splits.csv."""
    return _shared("data/corrosion_photos")


@pytest.fixture(scope="session")
def out_of_distribution() -> Path:
    """Folder of ten photographs without corrosion."""
    return _shared("data/out_of_distribution")
