"""A detector on survey scenes, whose masks are exact: the pixels of each counted by probability.

python -m experiments.detector.scenes --output=OUTPUT/scenes_512.npz [--checkpoint=inspection-1] [--count=120]

`experiments.detector.areas` and `experiments.detector.promises` take the file as they take photographs; each scene is a
group of its own.
"""

from pathlib import Path

from absl import app, flags

from experiments.detector import measure
from spotrust_jax.data.synthetic import SurveySceneDataset
from spotrust_jax.inference.segmenter import load

_CHECKPOINT = flags.DEFINE_string("checkpoint", "inspection-1", "Trained model.")
_COUNT = flags.DEFINE_integer("count", 120, "Scenes.")
_OUTPUT = flags.DEFINE_string("output", None, "File of what is measured.", required=True)

_SIZE = 512


def main(_: list[str]) -> None:
    """Draws the scenes of the test split, predicts them, and writes the file."""
    scenes = [
        measure.Photograph(one.name, one.name, "scenes", one.image, one.mask)
        for one in SurveySceneDataset("test", count=_COUNT.value, size=_SIZE)
    ]
    measure.save(measure.measure(load(_CHECKPOINT.value), scenes, _SIZE), Path(_OUTPUT.value))


if __name__ == "__main__":
    app.run(main)
