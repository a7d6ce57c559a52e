"""The HRNet family as numbers: how many blocks, modules and channels each preset has."""

import dataclasses

from spotrust_jax.errors import InputError
from spotrust_jax.fields import shown


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Shape of an HRNetV2 with four stages; branch b has `width * 2**b` channels.

    Attributes:
        stage1_blocks: bottlenecks in stage 1.
        stage1_channels: inner channels of those bottlenecks; stage 1 puts out four times as many.
        modules: exchange modules in stages 2, 3 and 4.
        blocks: basic blocks on each branch of a module.
        width: channels of the finest branch.
        final_kernel: side of the head's last convolution, 1 or 3.
    """

    stage1_blocks: int
    stage1_channels: int
    modules: tuple[int, int, int]
    blocks: int
    width: int
    final_kernel: int = 1

    def branch_channels(self, branches: int = 4) -> tuple[int, ...]:
        """Channels of the first `branches` branches, finest first."""
        return tuple(self.width * 2**branch for branch in range(branches))

    @property
    def residual_blocks(self) -> int:
        """Of all stages and branches."""
        branches = sum(count * modules for count, modules in zip((2, 3, 4), self.modules, strict=True))
        return self.stage1_blocks + self.blocks * branches


PRESETS = {
    "w18_small_v1": Architecture(1, 32, (1, 1, 1), 2, 16),
    "w18_small_v2": Architecture(2, 64, (1, 3, 2), 2, 18),
    "w18": Architecture(4, 64, (1, 4, 3), 4, 18),
    "w32": Architecture(4, 64, (1, 4, 3), 4, 32),
    "w48": Architecture(4, 64, (1, 4, 3), 4, 48),
}


def architecture(preset: str, *, width: int = 0, final_kernel: int = 1) -> Architecture:
    """The preset's architecture, with another width where `width` is not 0.

    Raises:
        InputError: for a preset that does not exist, a negative width, or a final kernel that is neither 1 nor 3.
    """
    if preset not in PRESETS:
        raise InputError(f"model.preset is {preset!r}: choose one of {', '.join(PRESETS)}")
    if width < 0:
        raise InputError(
            f"model.width is {shown(width)}: give a positive number of channels, or 0 for the preset's own"
        )
    if final_kernel not in (1, 3):
        raise InputError(f"model.final_kernel is {shown(final_kernel)}: choose 1 or 3")
    chosen = PRESETS[preset]
    return dataclasses.replace(chosen, width=width or chosen.width, final_kernel=final_kernel)
