"""Draws a contact sheet of the synthetic survey scenes.

Scenes with their masks, and below them scenes of other things.
"""

from pathlib import Path

from absl import flags

from . import program

_OUTPUT = flags.DEFINE_string("output", "scenes.png", "Picture to write, PNG.")
_FIRST = flags.DEFINE_integer("first", 0, "Number of the first scene.", lower_bound=0)

# Scenes side by side, each beside its mask; rows of them; and rows without masks of scenes unlike them.
_COLUMNS, _ROWS, _UNLIKE_ROWS = 4, 6, 2
_SIZE, _SHOWN = 256, 150


def main() -> int:
    import numpy as np
    from PIL import Image

    from spotrust_jax.data.synthetic import SurveySceneDataset
    from spotrust_jax.errors import InputError
    from spotrust_jax.maps import mask_picture

    path = Path(_OUTPUT.value)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise InputError(f"--output={path}: give a name that ends in .png, in a folder that exists")
    first, count, unlike = _FIRST.value, _COLUMNS * _ROWS, 2 * _COLUMNS * _UNLIKE_ROWS
    scenes = SurveySceneDataset("train", first + count, _SIZE)
    others = SurveySceneDataset("unlike_validation", first + unlike, _SIZE)
    pictures = [p for i in range(first, first + count) for p in (scenes[i].image, mask_picture(scenes[i].mask))]
    pictures += [others[i].image for i in range(first, first + unlike)]
    shown, smoothly = (_SHOWN, _SHOWN), Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(picture).resize(shown, smoothly)) for picture in pictures]
    rows = [np.concatenate(small[i : i + 2 * _COLUMNS], axis=1) for i in range(0, len(small), 2 * _COLUMNS)]
    Image.fromarray(np.concatenate(rows)).quantize(128).save(path, optimize=True)
    print(f"{count} scenes with their masks, corroded cyan, and {unlike} without corrosion: {path}")
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
