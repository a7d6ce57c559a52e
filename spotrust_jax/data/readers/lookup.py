"""Which photograph a label or a table means: one rule for all formats, which never leaves the source."""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from spotrust_jax.data.image_files import is_photograph
from spotrust_jax.data.readers.documents import shown
from spotrust_jax.data.readers.listing import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    composed,
    located,
    photographs_below,
    relative,
)
from spotrust_jax.data.source import UnusableError
from spotrust_jax.data.split_names import split_named

# Label Studio puts eight hexadecimal digits before the names of files that were uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")


# Folders of pictures that are no photographs, in lower case.
_NO_PHOTOGRAPHS = (*MASK_FOLDERS, "segmentationobject", "ignored")

# Photographs by the names of their files, and by these without extension, both in lower case.
_ByName = tuple[dict[str, list[Path]], dict[str, list[Path]]]


class Wanted(NamedTuple):
    """A photograph as a label file in `folder` names it; `split` is that of the label, where it has one."""

    folder: Path
    text: str
    split: str | None = None


def photographs_meant(root: Path, wishes: Sequence[Wanted]) -> list[Path | UnusableError]:
    """For each wish the photograph that it means, or why there is none.

    It is the file that the path leads to, from the label's folder or from the source. Where there is none, as with
    paths of another machine, it is the photograph of the same name that no other label leads to: the one that shares
    the most folders at the end of its path, then the one beside the label, of its split, or in the source's own folder
    or images/. Names may differ in case, in the extension, or by what Label Studio puts before them. An
    `UnusableError` says where several are left, none is there, or the path leads out of the source.
    """
    exact = [_led_to(root, wish) for wish in wishes]
    taken = {os.path.abspath(image) for image in exact if isinstance(image, Path)}
    by_name: _ByName = (defaultdict(list), defaultdict(list))
    for image in photographs_below(root):
        folders = {folder.casefold() for folder in Path(relative(root, image)).parts[:-1]}
        if os.path.abspath(image) not in taken and not folders.intersection(_NO_PHOTOGRAPHS):
            by_name[0][_folded(image.name)].append(image)
            by_name[1][_folded(image.stem)].append(image)
    return [
        found if isinstance(found, Path) else _by_name(root, wish, found, by_name)
        for wish, found in zip(wishes, exact, strict=True)
    ]


def _led_to(root: Path, wish: Wanted) -> Path | UnusableError | None:
    """The photograph at the end of the path, None where it leads to nothing, the error where it leaves the source."""
    outside = None
    for text in _spellings(wish.text):
        for folder in (wish.folder, root):
            try:
                file = located(root, folder, text)
            except UnusableError as error:
                outside = outside or error
            else:
                if file and is_photograph(file.name):
                    return file
    return outside


def _by_name(root: Path, wish: Wanted, outside: UnusableError | None, by_name: _ByName) -> Path | UnusableError:
    named, of_stem = by_name
    path = PurePosixPath(composed(_spellings(wish.text)[-1]))
    stems = (_folded(path.stem), _folded(path.name))
    candidates = next(filter(None, (named[_folded(path.name)], *(of_stem[stem] for stem in stems))), [])
    if not candidates and _UPLOADED.match(path.name):
        return _by_name(root, wish._replace(text=_UPLOADED.sub("", path.name, count=1)), outside, by_name)
    folders = {image: Path(relative(root, image)).parts[:-1] for image in candidates}
    own = set(Path(relative(root, wish.folder)).parts)
    preferences = (
        lambda image: image.name == path.name,
        lambda image: _shared_at_end(image.parts[:-1], path.parts[:-1]),
        lambda image: image.parent == wish.folder,
        lambda image: len(own.intersection(folders[image])),
        lambda image: wish.split in map(split_named, folders[image]),
        lambda image: "/".join(folders[image]).casefold() in ("", *IMAGE_FOLDERS),
    )
    for preference in preferences:
        most = max(map(preference, candidates), default=None)
        candidates = [image for image in candidates if preference(image) == most]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates and outside:
        return outside
    found = "is not there" if not candidates else "is there several times in folders that the label does not tell apart"
    remedy = "put it into the folder of the label or images/"
    return UnusableError("missing_image", f"photograph {shown(wish.text)} {found}: {remedy}")


def _spellings(text: str) -> list[str]:
    """The path as it is written, with forward slashes, and without what makes it an address: the last is the barest."""
    slashed = text.replace("\\", "/")
    bare = slashed
    if "?d=" in slashed:  # Label Studio's local files
        bare = unquote(slashed.split("?d=", 1)[1].split("&")[0])
    elif "://" in slashed:
        bare = unquote(re.sub(r"^\w+://[^/]*/?|[?#].*$", "", slashed))
    return list(dict.fromkeys((text, slashed, bare)))


def _shared_at_end(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many folders at the ends of two paths are the same."""
    pairs = zip(reversed(folders), reversed(others), strict=False)
    return len(list(itertools.takewhile(lambda pair: composed(pair[0]) == pair[1], pairs)))


def _folded(name: str) -> str:
    return composed(name).casefold()
