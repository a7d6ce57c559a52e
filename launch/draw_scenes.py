"""Draws synthetic survey scenes, as photographs with their masks or as one picture.

spotrust draw_scenes --output=SCENES --count=12    # a data set: SCENES/images, SCENES/masks
spotrust draw_scenes --output=scenes.png           # some with their masks, and below them some without steel
"""

from pathlib import Path

from absl import flags

from spotrust_jax.errors import InputError

from . import program

_OUTPUT = flags.DEFINE_string("output", "scenes.png", "Picture to write, PNG, or with --count a folder.")
_FIRST = flags.DEFINE_integer("first", 0, "Number of the first scene.", lower_bound=0)
_COUNT = flags.DEFINE_integer("count", None, "Write so many scenes of the test split as photographs.", lower_bound=1)

# Scenes side by side, each beside its mask; rows of them; and rows without masks of scenes out of distribution.
_COLUMNS, _ROWS, _NOVEL_ROWS = 4, 6, 2
_SIZE, _SHOWN = 256, 150

# Pixels of a side of a photograph.
_PHOTOGRAPH_SIZE = 512


def main() -> int:
    output = Path(_OUTPUT.value)
    if _COUNT.value is None:
        _draw_sheet(output, _FIRST.value)
    else:
        _write_photographs(output, _FIRST.value, _COUNT.value)
    return 0


def _write_photographs(folder: Path, first: int, count: int) -> None:
    from spotrust_jax.data.card import DatasetCard
    from spotrust_jax.data.folder_writer import write_folder
    from spotrust_jax.data.synthetic import SurveySceneDataset

    if folder.is_file() or folder.suffix.lower() == ".png":
        raise InputError(f"--output={folder}: with --count give a folder")
    scenes = SurveySceneDataset("test", count, _PHOTOGRAPH_SIZE, first=first)
    write_folder({"test": scenes}, folder, DatasetCard("survey_scenes", "Drawn scenes of steel structures"))
    print(f"{count} scenes: {folder / 'images'}, corroded parts white: {folder / 'masks'}")


def _draw_sheet(path: Path, first: int) -> None:
    import numpy as np
    from PIL import Image

    from spotrust_jax.data.synthetic import SurveySceneDataset
    from spotrust_jax.outputs.rendering import mask_picture

    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise InputError(f"--output={path}: give a name that ends in .png, in a folder that exists, or add --count")
    scenes = SurveySceneDataset("train", _COLUMNS * _ROWS, _SIZE, first=first)
    novel = SurveySceneDataset("out_of_distribution_validation", 2 * _COLUMNS * _NOVEL_ROWS, _SIZE, first=first)
    pictures = [picture for scene in scenes for picture in (scene.image, mask_picture(scene.mask))]
    pictures += [scene.image for scene in novel]
    shown, smoothly = (_SHOWN, _SHOWN), Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(picture).resize(shown, smoothly)) for picture in pictures]
    rows = [np.concatenate(small[i : i + 2 * _COLUMNS], axis=1) for i in range(0, len(small), 2 * _COLUMNS)]
    Image.fromarray(np.concatenate(rows)).quantize(128).save(path, optimize=True)
    print(f"{len(scenes)} scenes with their masks, corroded cyan, and {len(novel)} without corrosion: {path}")


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
