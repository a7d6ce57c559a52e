"""`spotrust` with a preset that compiles in seconds in place of the shipped detector's."""

from spotrust_jax.command_line.main import main
from spotrust_jax.models import presets

presets.PRESETS["w18_small_v2"] = presets.Architecture(1, 4, (1, 1, 1), 1, width=4)

if __name__ == "__main__":
    main()
