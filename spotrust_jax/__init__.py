"""Corrosion in photographs, pixel by pixel, with an honest measure of confidence.

`spotrust_jax.load(folder)` gives a `Segmenter`; its `predict` gives a `Prediction`.
"""

from typing import TYPE_CHECKING, Any

from spotrust_jax.errors import InputError

if TYPE_CHECKING:
    from spotrust_jax.inference.segmenter import Prediction, Segmenter, load

__all__ = ["InputError", "Prediction", "Segmenter", "__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when first used: a launcher that only has to say what is wrong with its flags needs no jax.
    if name in ("Prediction", "Segmenter", "load"):
        from spotrust_jax.inference import segmenter  # noqa: PLC0415

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
