"""What is said before XLA compiles a network, which takes from seconds to minutes: for which size, and about how long.

It is logged at level INFO, which the programs show and which `import spotrust_jax` alone does not.
"""

import logging
from typing import Literal

import jax

from spotrust_jax.config import ModelConfig
from spotrust_jax.models.presets import architecture

_LOG = logging.getLogger(__name__)

# Seconds on two cores of 2026, for a network without residual blocks and for each of its blocks. Neither the width nor
# the size of the images matters: XLA compiles operations, not pixels. What was measured is in
# docs/measurements/training_speed.md.
_SECONDS = {"predict": (3.0, 0.11), "train": (30.0, 0.2), "validate": (3.0, 0.11)}


def announce(model: ModelConfig, height: int, width: int, program: Literal["predict", "train", "validate"]) -> None:
    """Logs, in the first of several processes, that a program for images of a size is compiled now."""
    if jax.process_index() == 0:
        seconds = expected_seconds(model, program)
        what = "" if program == "predict" else f" to {program}"
        _LOG.info("Compiling%s for %d x %d, about %d seconds the first time", what, width, height, seconds)


def expected_seconds(model: ModelConfig, program: Literal["predict", "train", "validate"]) -> int:
    """How long a program of a network takes to compile, by its number of residual blocks, to one digit."""
    start, of_block = _SECONDS[program]
    return int(float(f"{start + of_block * architecture(model.preset).residual_blocks:.1g}"))
