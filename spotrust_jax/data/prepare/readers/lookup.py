"""Which photograph a label or a table means: one rule for all formats, which never leaves the source."""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from spotrust_jax.data.prepare.readers.json_labels import shown
from spotrust_jax.data.prepare.readers.listing import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    composed,
    located,
    photographs_below,
    relative,
)
from spotrust_jax.data.prepare.source import UnusableError
from spotrust_jax.data.splits import split_named
from spotrust_jax.io.image_files import is_photograph

# Label Studio puts eight hexadecimal digits before the names of files that were uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")


# Folders of pictures that are no photographs, in lower case.
_NO_PHOTOGRAPHS = (*MASK_FOLDERS, "segmentationobject", "ignored")

# Words in the names of folders that say what kind of files they hold, and not which photographs these belong to.
# fmt: off
_KINDS = frozenset((
    "ann", "anns", "annotation", "annotations", "bmp", "coco", "export", "image", "images", "img", "imgs",
    "jpeg", "jpegimages", "jpegs", "jpg", "json", "jsons", "label", "labelled", "labelme", "labels", "media",
    "photo", "photograph", "photographs", "photos", "picture", "pictures", "png", "tif", "tiff", "upload",
    "uploads", "via", "xml",
))
# fmt: on

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
    or images/. One in a folder that belongs to other labels is not taken: `b/1.jpg` is not what `a/1.json` means, as
    cameras give the same names on every flight. Names may differ in case, in the extension, or by what Label Studio
    puts before them. An `UnusableError` says where several are left, none is there, or the path leads out of the
    source.
    """
    exact = [_led_to(root, wish) for wish in wishes]
    taken = {os.path.abspath(image) for image in exact if isinstance(image, Path)}
    by_name: _ByName = (defaultdict(list), defaultdict(list))
    below = photographs_below(root)
    belongs = _Belonging(root, {image.parent for image in below}, {wish.folder for wish in wishes})
    for image in below:
        folders = {folder.casefold() for folder in Path(relative(root, image)).parts[:-1]}
        if os.path.abspath(image) not in taken and not folders.intersection(_NO_PHOTOGRAPHS):
            by_name[0][_folded(image.name)].append(image)
            by_name[1][_folded(image.stem)].append(image)
    return [
        found if isinstance(found, Path) else _by_name(root, wish, found, by_name, belongs)
        for wish, found in zip(wishes, exact, strict=True)
    ]


def matched_by_name_alone(root: Path, wish: Wanted, image: Path) -> bool:
    """Whether neither the path in the label, nor the label's own folder, nor its split names the photograph's folder.

    Folders that only say which kind of files they hold, such as images/, need no naming.
    """
    of_image = _distinctive(relative(root, image.parent))
    path = PurePosixPath(composed(_spellings(wish.text)[-1]))
    named = {*_distinctive(path.parent.as_posix()), *_distinctive(relative(root, wish.folder))}
    same_split = wish.split is not None and wish.split in map(split_named, of_image)
    return bool(of_image) and named.isdisjoint(of_image) and not same_split


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


class _Belonging(NamedTuple):
    """Which folders below the source hold photographs, and which hold labels."""

    root: Path
    photographs: set[Path]
    labels: set[Path]

    def allows(self, wish: Wanted, image: Path) -> bool:
        """Whether the folders of a label and of a photograph, or the label's path, let the two belong together."""
        if image.parent.is_relative_to(wish.folder):
            return True
        own, other = _distinctive(relative(self.root, wish.folder)), _distinctive(relative(self.root, image.parent))
        apart = wish.folder in self.photographs or image.parent in self.labels
        same = set(own) <= set(other) or set(other) <= set(own)
        if not other or (same and (own or not apart)):
            return True
        return other[-1] in _distinctive(PurePosixPath(composed(_spellings(wish.text)[-1])).parent.as_posix())


def _distinctive(folder: str) -> list[str]:
    """The folders of a path, in lower case, without those that say only which kind of files they hold."""
    names = [_folded(name) for name in PurePosixPath(folder).parts]
    return [name for name in names if not _KINDS.intersection(re.split(r"[^a-z]+", name))]


def _by_name(
    root: Path, wish: Wanted, outside: UnusableError | None, by_name: _ByName, belongs: _Belonging
) -> Path | UnusableError:
    named, of_stem = by_name
    path = PurePosixPath(composed(_spellings(wish.text)[-1]))
    stems = (_folded(path.stem), _folded(path.name))
    alike = (named[_folded(path.name)], *(of_stem[stem] for stem in stems))
    allowed = ([image for image in images if belongs.allows(wish, image)] for images in alike)
    candidates = next(filter(None, allowed), [])
    if not candidates and _UPLOADED.match(path.name):
        return _by_name(root, wish._replace(text=_UPLOADED.sub("", path.name, count=1)), outside, by_name, belongs)
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
    found = (
        "is not there" if not candidates else "is there several times in folders that the label does not distinguish"
    )
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
