"""Synthetic survey scenes: steel in its surroundings, corroded with exact masks, and scenes out of distribution.

Version by version beside the demo's frozen scenes in `data/scenes.py`, which are another, simpler set.
"""

from spotrust_jax.data.synthetic.dataset import SPLIT_SEEDS, SurveySceneDataset
from spotrust_jax.data.synthetic.out_of_distribution import draw_out_of_distribution_scene
from spotrust_jax.data.synthetic.scene import SURVEY_SCENES, SurveyConfig, draw_survey_scene

__all__ = [
    "SPLIT_SEEDS",
    "SURVEY_SCENES",
    "SurveyConfig",
    "SurveySceneDataset",
    "draw_out_of_distribution_scene",
    "draw_survey_scene",
]
