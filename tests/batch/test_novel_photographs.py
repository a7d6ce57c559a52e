"""A run over photographs of which one is novel, and one of which all are."""

import dataclasses
import json

import numpy as np
from PIL import Image

from spotrust_jax.batch.folder import analyse_photographs, finish
from spotrust_jax.batch.photograph_job import Job
from spotrust_jax.calibration.novelty import KnownFeatures, Whitening
from spotrust_jax.inference.analysis import Analysis
from spotrust_jax.inference.preprocessing import list_photographs
from spotrust_jax.outputs.summary import grades, novel_note
from spotrust_jax.outputs.writers import Run, described
from tests.inference.known_segmenter import CONFIG, KnownSegmenter

IDENTITY = Whitening(np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
GREY = KnownFeatures(IDENTITY, np.full((1, 3), 0.5, np.float32), IDENTITY, limit=0.25)


class KnowsGrey(KnownSegmenter):
    """Its features are the colours, and what it knows is grey."""

    def predict_part(self, image, photograph, tile, num_samples, decomposed=False, area=None):
        maps = super().predict_part(image, photograph, tile, num_samples, decomposed, area)
        pooled = (image.astype(np.float32) / 255).mean(axis=(0, 1))
        return dataclasses.replace(
            maps, pooled_features=pooled, known=GREY, local_novelty=np.zeros_like(maps.epistemic)
        )


def test_a_novel_photograph_is_listed_and_not_graded(tmp_path):
    (tmp_path / "in").mkdir()
    for name, value in (("grey", 120), ("white", 255)):
        Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(tmp_path / "in" / f"{name}.png")
    analysis = Analysis(None, 1, tile_size=64, overlap=32)
    job = Job(tmp_path / "out", analysis, 0.5)
    finished = sorted(analyse_photographs([KnowsGrey()], list_photographs(str(tmp_path / "in")), job))
    rows = [one.row for one in finished]
    finish(job, Run(job.output, rows, described(CONFIG, tmp_path, analysis, 0.5)))
    grey, white = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (grey["novel"], grey["novelty_note"], white["novel"]) == (False, "", True)
    np.testing.assert_allclose(white["novelty"], 0.5 * 3**0.5 / 0.25, rtol=1e-5)
    assert white["novelty_note"].startswith("novel: its features are 3.46 times the limit away")
    assert all(one.refusal == white["novelty_note"] and not one.labels for one in grades(rows[1]))
    assert all(one.refusal != white["novelty_note"] for one in grades(rows[0]))
    assert white["area"] is not None  # it stays, for who wants to look
    assert novel_note(rows) == (
        f"1 of 2 photographs are novel, do not rely on their areas, and are not graded: {tmp_path}/in/white.png"
    )
    assert novel_note(rows[1:]).startswith("the only photograph is novel") and novel_note(rows[:1]) == ""
    assert novel_note([rows[1]] * 3).startswith("all 3 photographs are novel")
