"""Names of the models that come with the package, and where a model given by name, folder or file lies.

Needs the standard library alone, so that flags can name the default. `checkpoints.py` reads a model.
"""

import os
from pathlib import Path
from typing import NamedTuple

from spotrust_jax.errors import InputError

DEFAULT = "inspection-1"
"""The detector that is used where no other model is named."""

FOLDER = Path(__file__).parents[1] / "pretrained"
"""Has a folder NAME/ for each model."""

CONFIG_NAME, WEIGHTS_NAME, NOVELTY_NAME = "config.json", "model.safetensors", "novelty.safetensors"
"""Files in a model's folder; where there is no such weight file, the folder has an Orbax checkpoint.
The third is there where the model has novelty."""


class Location(NamedTuple):
    """Where a model lies: the folder with its configuration, and its safetensors file where it has one."""

    folder: Path
    weights: Path | None

    def __str__(self) -> str:
        return str(self.weights or self.folder)


def names() -> tuple[str, ...]:
    """Names of the models that come with the package, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{CONFIG_NAME}")))


def locate(checkpoint: str | os.PathLike) -> Location:
    """The model that is given by the name of one of the package, by its folder or by its safetensors file.

    A name goes before a folder of the same name, which `./NAME` means.

    Raises:
        InputError: where there is no such model.
    """
    if checkpoint in names():
        return _in_folder(FOLDER / checkpoint)
    if not os.path.exists(checkpoint):
        raise InputError(_unknown(os.fspath(checkpoint)))
    path = Path(os.path.abspath(checkpoint))
    is_weights = path.suffix == ".safetensors" and path.is_file()
    found = Location(path.parent, path) if is_weights else _in_folder(path)
    if not (found.folder / CONFIG_NAME).is_file():
        raise InputError(_no_checkpoint(found))
    return found


def _in_folder(folder: Path) -> Location:
    weights = folder / WEIGHTS_NAME
    return Location(folder, weights if weights.is_file() else None)


def _unknown(checkpoint: str) -> str:
    if checkpoint == DEFAULT:
        return (
            f"this installation has no model {DEFAULT} ({FOLDER / DEFAULT} is missing): install the package again, or "
            f"name another model"
        )
    if os.path.basename(checkpoint) != checkpoint:
        return f"{checkpoint} is not a checkpoint: it has no {CONFIG_NAME}, since it is not there; check the path"
    known = ", ".join(names()) or "none"
    return f"no model is called {checkpoint!r}, nor is a folder (models of the package: {known}): check the name"


def _no_checkpoint(found: Location) -> str:
    if found.weights:
        return (
            f"{found.weights} has no {CONFIG_NAME} beside it: put it there, or turn weights of another program into a "
            f"model with spotrust convert"
        )
    return f"{found.folder} is not a checkpoint: it has no {CONFIG_NAME}; give a folder such as RUN/best"
