"""The picture at the top of the README: drawn scenes, their truth, and the maps that the quickstart made of them.

bash launch/quickstart.sh
python -m experiments.readme_picture --output=docs/detector.png
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image

from spotrust_jax.io.images import read_image, read_mask
from spotrust_jax.outputs.rendering import mask_picture, panel

_QUICKSTART = flags.DEFINE_string("quickstart", "runs/quickstart", "What the quickstart wrote.")
_OUTPUT = flags.DEFINE_string("output", "docs/detector.png", "Picture to write, PNG.")

# Scenes, a row each, and their maps, each at this share of its size.
_SHOWN = ("test_0000", "test_0004", "test_0010")
_MAPS = ("mask", "epistemic", "aleatoric", "accuracy")
_REDUCTION = 2


def main(_: list[str]) -> None:
    """Writes the picture."""
    rows = [_row(Path(_QUICKSTART.value), name) for name in _SHOWN]
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 16), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    picture = Image.fromarray(np.concatenate(rows)).reduce(_REDUCTION).quantize(256)
    picture.save(_OUTPUT.value, optimize=True)


def _row(folder: Path, name: str) -> np.ndarray:
    shown = {
        "scene": read_image(folder / "drawn" / "images" / f"{name}.png"),
        "truth": mask_picture(read_mask(folder / "drawn" / "masks" / f"{name}.png")),
        **{kind: read_image(folder / "scenes" / f"{name}_{kind}.png") for kind in _MAPS},
    }
    return panel(list(shown.values()), list(shown))


if __name__ == "__main__":
    app.run(main)
