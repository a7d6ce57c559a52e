"""Where a model goes to which something was fitted: into its own folder, or as a copy into another."""

import os
from pathlib import Path

from absl import flags

from spotrust_jax.errors import InputError

from . import program

_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the fitted model, which the package's own models need; else the checkpoint itself."
)


def output() -> str | None:
    """The folder of a copy; None where the checkpoint itself changes."""
    return _OUTPUT.value


def require_output(checkpoint: str) -> None:
    """Raises an `InputError` where the fitted model cannot be written, before anything expensive begins."""
    from spotrust_jax.io.model_folders import CONFIG_NAME, FOLDER, locate

    folder = locate(checkpoint).folder
    if _OUTPUT.value is not None:
        if (Path(_OUTPUT.value) / CONFIG_NAME).exists():
            raise InputError(f"--output={_OUTPUT.value} has a model already: give another folder, or remove it")
        program.writable(Path(_OUTPUT.value))
    # However it is named: by its name, its folder, its file or a link to one of these.
    elif FOLDER.resolve() in folder.resolve().parents:
        raise InputError(f"{checkpoint} is part of the package, which stays as it is: add --output=FOLDER for a copy")
    elif not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written: add --output=FOLDER for a copy")
