"""Which files are photographs, by their names, and how they are found in folders. No file is opened here."""

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

PathKind = TypeVar("PathKind", bound=PurePath)

READS_HEIF = importlib.util.find_spec("pillow_heif") is not None
"""Whether the extra `heif` is installed."""

_HEIF = frozenset({".heic", ".heif", ".hif"})

_READ = """
    .jpg .jpeg .jpe .jfif .mpo .png .apng .tif .tiff .bmp .webp .gif .avif .avifs .jp2 .j2k .jpc .jpf .jpx .j2c
    .ppm .pgm .pbm .pnm
"""
_RAW = ".dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 .rwl .raf .pef .srw .x3f .3fr .iiq .gpr"
_OTHER = ".jxl .jxr .wdp .hdp .psd .psb .tga .exr"

IMAGE_EXTENSIONS = frozenset(_READ.split()) | (_HEIF if READS_HEIF else frozenset())
"""Lower-case extensions of the photographs and masks that can be read."""

RAW_EXTENSIONS = frozenset(_RAW.split())
"""Those of cameras' raw files. Many are TIFFs whose first picture is a small preview."""

_OTHERS = frozenset(_OTHER.split())


RAW = "is a camera's raw file, which is not read: develop it and export it as JPEG or TIFF"
WITHOUT_HEIF = (
    "is HEIC, which is not read without a further package: pip install 'spotrust-jax[heif]', or export it as JPEG"
)


def is_readable(name: str | os.PathLike) -> bool:
    """Whether a file of this name can be read."""
    return Path(name).suffix.lower() in IMAGE_EXTENSIONS


def is_photograph(name: str | os.PathLike) -> bool:
    """Whether a file of this name is a photograph, also of a kind that is not read, so that it can be said so."""
    known = IMAGE_EXTENSIONS | _HEIF | RAW_EXTENSIONS | _OTHERS
    return Path(name).suffix.lower() in known and not Path(name).name.startswith(".")


def why_unread(name: str | os.PathLike) -> str:
    """What there is to say of a photograph of a kind that is not read, with the remedy; otherwise nothing."""
    extension = Path(name).suffix.lower()
    if extension in RAW_EXTENSIONS:
        return RAW
    if extension in _HEIF and not READS_HEIF:
        return WITHOUT_HEIF
    kind = extension.removeprefix(".").upper()
    return f"is of the kind {kind}, which is not read: export it as JPEG, PNG or TIFF" if extension in _OTHERS else ""


def without_originals(files: Iterable[PathKind]) -> list[PathKind]:
    """The photographs without those of kinds that are not read beside one of the same stem that is: a camera's pair."""
    files = list(files)
    readable = {file.with_suffix("") for file in files if is_readable(file.name)}
    return [file for file in files if is_readable(file.name) or file.with_suffix("") not in readable]


def files_below(root: Path, wanted: Callable[[str], bool], refused: Callable[[OSError], object]) -> list[Path]:
    """Files in and below a folder whose names are wanted, in the order of their paths; none in hidden folders.

    Links to folders are followed, each folder is visited once and by its own path if it has one below `root`, and no
    link leads back up. `refused` gets the error of each folder that cannot be read.
    """
    found, seen, folders = [], set(), [Path(root)]
    for folder in folders:  # which grows by the links
        for parent, inner, names in os.walk(folder, onerror=refused):
            real = os.path.realpath(parent)
            inner[:] = [] if real in seen else sorted(name for name in inner if not name.startswith("."))
            found += [Path(parent, name) for name in names if real not in seen and wanted(name)]
            seen.add(real)
            links = [Path(parent, name) for name in inner if os.path.islink(os.path.join(parent, name))]
            folders += [link for link in links if not leads_up(link, real) and not leads_up(link, root)]
    return sorted(found)


def distinct_names(names: Sequence[str], whole: Sequence[str]) -> list[str]:
    """Each name or, where others would have the same, the whole one; whole names are distinct, so this ends."""
    chosen = list(names)
    while True:
        counts = Counter(chosen)
        clashing = [i for i, name in enumerate(chosen) if counts[name] > 1 and name != whole[i]]
        if not clashing:
            return chosen
        for i in clashing:
            chosen[i] = whole[i]


def leads_up(link: Path, folder: str | os.PathLike) -> bool:
    """Whether a link's target is the folder or one above it."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(link))
