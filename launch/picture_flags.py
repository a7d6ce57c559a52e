"""How maps are shown as pictures. Flags of the programs that write some."""

from absl import flags

_PALETTE = flags.DEFINE_enum("palette", "paper", ["paper", "colour_blind"], "Colours of pictures.")
_OPACITY = flags.DEFINE_float("opacity", 0.45, "Share of colour in the overlay.", 0.0, 1.0)
_PANEL = flags.DEFINE_bool("panel", False, "STEM_panel.png: photograph and maps side by side.")
_PLAIN = flags.DEFINE_bool("plain_maps", False, "Maps as pictures pixel for pixel, without colour bar.")
_LEVELS = flags.DEFINE_bool("maps_16bit", False, "Maps as grey PNG of 16 bits.")


def style():
    """How pictures look."""
    from spotrust_jax.outputs.rendering import COLOUR_BLIND, PAPER, Style

    return Style(COLOUR_BLIND if _PALETTE.value == "colour_blind" else PAPER, _OPACITY.value)


def picture_options():
    """Which pictures there are beyond those that are always written."""
    from spotrust_jax.outputs.picture_options import PictureOptions

    return PictureOptions(_PANEL.value, _PLAIN.value, _LEVELS.value)
