"""Programs: flags in, library calls, exit codes. Installed as `spotrust_jax.launch`."""

import sys

from spotrust_jax.command_line import interruption

# As `python -m launch.NAME`: the program's own imports are still to come.
if sys.argv[0] == "-m":
    interruption.end_at_once()
