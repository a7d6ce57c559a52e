"""Trains on embedded scenes, scores the model and writes maps to look at; nothing is downloaded."""

from pathlib import Path

from absl import flags

from . import program

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder for everything that the demo writes.")

# Test scenes that are scored, and how many of them get maps.
_SCORED, _MAPPED = 64, 12
# Test scenes in the picture that shows the demo.
_SHOWN = (0, 4, 10)


def main() -> int:
    # setup.cfg installs configs/ there.
    from spotrust_jax.configs import demo  # pyright: ignore[reportMissingImports]

    import spotrust_jax
    from spotrust_jax.batch.folder import analyse_photograph
    from spotrust_jax.batch.ground_truth import Truths
    from spotrust_jax.batch.photograph_job import Job
    from spotrust_jax.config import TrainConfig
    from spotrust_jax.data.card import DatasetCard
    from spotrust_jax.data.folder_dataset import FolderDataset
    from spotrust_jax.data.folder_writer import write_folder
    from spotrust_jax.data.scenes import DEMO_SCENES, SceneDataset
    from spotrust_jax.evaluation.evaluate import evaluate
    from spotrust_jax.evaluation.tables import write_evaluations
    from spotrust_jax.fields import from_dict
    from spotrust_jax.inference.analysis import default_analysis
    from spotrust_jax.inference.preprocessing import list_photographs
    from spotrust_jax.outputs.summary import write_summary
    from spotrust_jax.training.loop import train

    workdir = Path(_WORKDIR.value)
    scenes, maps = workdir / "scenes", workdir / "maps"
    train(from_dict(TrainConfig, demo.get_config().to_dict()), workdir, program.devices())
    card = DatasetCard("demo_scenes", "Test scenes of the demo")
    write_folder({"test": SceneDataset(DEMO_SCENES, "test", _SCORED)}, scenes, card)
    segmenter = spotrust_jax.load(workdir / "best")
    analysis = default_analysis(segmenter.config)
    print(write_evaluations(workdir, [evaluate("demo", segmenter, FolderDataset(scenes, "test"), analysis)]))
    photographs = list_photographs(str(scenes / "images"))[:_MAPPED]
    job = Job(maps, analysis, segmenter.config.threshold, Truths(scenes / "masks"))
    rows = [analyse_photograph(segmenter, p, job) for p in photographs]
    write_summary(maps, rows)
    _write_showcase(workdir / "showcase.png", segmenter, analysis, FolderDataset(scenes, "test"))
    print(f"maps of {len(rows)} scenes: {maps}; some of them side by side: {workdir / 'showcase.png'}")
    return 0


def _write_showcase(path: Path, segmenter, analysis, dataset) -> None:
    """A few scenes in a row each, at twice their size so that the writing is readable."""
    import numpy as np

    from spotrust_jax.inference.analysis import predict_photograph
    from spotrust_jax.io.images import resize_image, resize_mask
    from spotrust_jax.outputs import rendering
    from spotrust_jax.outputs.map_files import map_pictures

    rows = []
    for index in _SHOWN:
        example = dataset[index]
        size = [2 * side for side in example.mask.shape]
        image, truth = resize_image(example.image, *size), resize_mask(example.mask, *size)
        prediction = predict_photograph(segmenter, image, analysis)
        pictures = map_pictures(image, prediction, segmenter.config.threshold, truth)
        shown = {"scene": image, "truth": rendering.mask_picture(truth), **pictures}
        del shown["overlay"]
        rows.append(rendering.panel(list(shown.values()), list(shown)))
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 8), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    rendering.save_picture(np.concatenate(rows), path)


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
