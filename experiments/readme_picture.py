"""The picture at the top of the README: drawn scenes, their truth, and the shipped detector's maps of them.

python -m experiments.readme_picture --output=docs/detector.png
"""

from pathlib import Path

from absl import app, flags

import spotrust_jax
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.inference.analysis import default_analysis
from spotrust_jax.inference.showcase import write_showcase

_OUTPUT = flags.DEFINE_string("output", "docs/detector.png", "Picture to write, PNG.")

# Test scenes that the quickstart draws, at its size.
_SHOWN, _SIZE = (0, 4, 10), 512


def main(_: list[str]) -> None:
    """Writes the picture."""
    segmenter = spotrust_jax.load()
    scenes = SurveySceneDataset("test", max(_SHOWN) + 1, _SIZE)
    examples = [scenes[i] for i in _SHOWN]
    write_showcase(Path(_OUTPUT.value), segmenter, default_analysis(segmenter.config), examples)


if __name__ == "__main__":
    app.run(main)
