"""The detector that comes with the package: what it must have with it, and what it finds in scenes it never saw.

How good it is on photographs is measured by experiments/detector/calibrate.py and stands in docs/model_card.md.
"""

import numpy as np
import pytest

import spotrust_jax
from spotrust_jax.checkpoints import load_model
from spotrust_jax.data.synthetic import SURVEY_SCENES, SurveySceneDataset
from spotrust_jax.data.synthetic.objects import draw_object_scene
from spotrust_jax.io import model_folders
from spotrust_jax.metrics.masks import confusion, pooled_scores

FOLDER = model_folders.FOLDER / "inspection-1"
SIZE = 256


@pytest.fixture(scope="module")
def segmenter():
    return spotrust_jax.load()


@pytest.fixture(scope="module")
def found(segmenter):
    scenes = list(SurveySceneDataset("test", 24, SIZE))
    return scenes, [segmenter.predict(scene.image, scale="native") for scene in scenes]


def test_it_is_small_licensed_and_says_where_it_comes_from(segmenter):
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 25e6
    assert "CC BY 4.0" in (FOLDER / "LICENSE").read_text()
    config = segmenter.config
    assert config.card.name == "inspection-1" and config.card.licence and config.card.scores
    assert any("not confirmed" in source for source in config.card.sources)
    assert len(config.trained_on) == 644 + 45 + 536 and len(config.calibrated_on) == 180 + 114
    assert not config.trained_on.among(config.calibrated_on)
    assert config.calibration.slope != 1.0 and config.members == 3


def test_it_finds_drawn_corrosion_that_it_never_saw(found):
    scenes, predictions = found
    pairs = zip(scenes, predictions, strict=True)
    scores = pooled_scores([confusion(prediction.mask(), scene.mask) for scene, prediction in pairs])
    everything = np.mean([scene.mask.mean() for scene in scenes])
    assert scores.f1 > 0.5 > 2 * everything / (1 + everything), scores


def test_its_members_differ_where_it_is_wrong(found):
    """The spread is larger over wrong pixels than over right ones, and constant nowhere."""
    scenes, predictions = found
    wrong = np.concatenate([(p.mask() != s.mask).ravel() for s, p in zip(scenes, predictions, strict=True)])
    spread = np.concatenate([p.epistemic.ravel() for p in predictions])
    assert spread[wrong].mean() > 2 * spread[~wrong].mean()
    assert all(p.epistemic.std() > 1e-4 for p in predictions)


def test_colours_of_rust_alone_are_no_corrosion(segmenter):
    marked = [
        segmenter.predict(draw_object_scene(SURVEY_SCENES, 9, index, SIZE)[0], scale="native").mask().mean()
        for index in range(24)
    ]
    assert np.mean(marked) < 0.02


def test_weights_name_the_network_so_that_its_shapes_need_not_be_worked_out(monkeypatch):
    monkeypatch.setattr("spotrust_jax.models.weights.differences", None)
    assert load_model("inspection-1")[1].members == 3
