"""Runs `spotrust` commands and Python programs one after the other, on small networks: `small_program SCRIPT.json`.

The script is a list of arguments for each command; `python` stands before the text of a program. All run in copies of
one process that has imported the library, since importing takes longer than what most of them do.
"""

import json
import os
import sys
from pathlib import Path

import spotrust_jax.inference.segmenter
import spotrust_jax.training.loop  # noqa: F401
from spotrust_jax.command_line.main import main
from spotrust_jax.models import presets

# Compiled in seconds, in place of the shipped detector's.
presets.PRESETS["w18_small_v2"] = presets.Architecture(1, 4, (1, 1, 1), 1, width=4)


def run(program: str, *arguments: str) -> None:
    """Runs one of the commands, in a process of its own; exits with its code where that is not 0."""
    if (child := os.fork()) == 0:
        sys.argv = ["spotrust", program, *arguments]
        sys.exit(exec(arguments[0], {"__name__": "__main__"}) if program == "python" else main())
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(code)


if __name__ == "__main__":
    for command in json.loads(Path(sys.argv[1]).read_text()):
        run(*command)
