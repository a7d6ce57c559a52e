"""Validation scores against scikit-learn, and which epoch's weights are kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from spotrust_jax.config import AugmentationConfig, DataConfig, ModelConfig, TrainConfig
from spotrust_jax.training.compiled import finish_epoch
from spotrust_jax.training.scores import BINS, average_precision, f1_best_threshold, probability_bins
from spotrust_jax.training.state import initial_state
from spotrust_jax.training.summary import useless


def _counts(logits, corroded):
    bins = np.asarray(probability_bins(jnp.asarray(logits, jnp.float32)))
    return np.bincount(bins[corroded], minlength=BINS)[None], np.bincount(bins[~corroded], minlength=BINS)[None]


@pytest.mark.parametrize(
    ("share", "skill", "spread"), [(0.5, 1.0, 1.0), (0.02, 3.0, 2.0), (0.2, 0.0, 0.1), (0.1, 2.0, 6.0)]
)
def test_scores_are_scikit_learns(share, skill, spread):
    """Also where hardly anything is corroded, where the model knows nothing, and where it is sure of everything."""
    rng = np.random.default_rng(0)
    corroded = rng.random(200_000) < share
    logits = np.clip(spread * (rng.normal(size=corroded.size) + skill * corroded - skill), -13, 13)
    probability = 1 / (1 + np.exp(-logits))
    counts = _counts(logits, corroded)
    np.testing.assert_allclose(average_precision(*counts), average_precision_score(corroded, probability), atol=1e-3)
    precision, recall, _ = precision_recall_curve(corroded, probability)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    np.testing.assert_allclose(f1_best_threshold(*counts), f1, atol=1e-3)
    # Of the binned probabilities it is exactly theirs.
    binned = np.asarray(probability_bins(jnp.asarray(logits, jnp.float32)))
    np.testing.assert_allclose(average_precision(*counts), average_precision_score(corroded, binned), rtol=1e-9)


def test_no_order_at_all_scores_the_share_of_corroded_pixels():
    corroded = np.arange(1000) < 70
    counts = _counts(np.full(1000, -2.0), corroded)
    np.testing.assert_allclose(average_precision(*counts), 0.07, rtol=1e-12)
    assert average_precision(np.zeros((1, BINS)), np.ones((1, BINS))) == [0]


CONFIG = TrainConfig(
    model=ModelConfig("deterministic", "w18_small_v1", width=2),
    data=DataConfig(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)),
    augmentation=AugmentationConfig(crop_size=(32, 32)),
)


@pytest.fixture(scope="module")
def state():
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), initial_state(CONFIG))


def _kept(state, scores, config=CONFIG):
    """The epoch, from 1, whose weights are kept; they are its number."""
    for epoch, score in enumerate(scores, 1):
        params = {**state.variables, "mark": jnp.full((), float(epoch))}
        best = {**state.best, "mark": state.best.get("mark", jnp.zeros(()))}
        state = state._replace(variables=params, best=best, step=jnp.asarray(10 * epoch, jnp.int32))
        state = finish_epoch(state, jnp.asarray(score), jnp.asarray(0.5), config)
    assert int(state.best_step) == 10 * int(state.best["mark"])
    return int(state.best["mark"])


def test_the_later_of_equals_is_kept(state):
    assert _kept(state, [0.0, 0.0, 0.0]) == 3
    assert _kept(state, [0.2, 0.5, 0.4, 0.5, 0.3]) == 4
    assert _kept(state, [-0.9, -0.2, -0.5]) == 2  # a loss


def test_a_stopped_member_keeps_what_it_has(state):
    stopped = state._replace(schedule=state.schedule._replace(stopped=jnp.asarray(True)))
    after = finish_epoch(stopped, jnp.asarray(0.9), jnp.asarray(0.5), CONFIG)
    assert after.best_score == -jnp.inf and after.best_step == 0


def _row(member, precision, share):
    return {"member": member, "validation_average_precision": precision, "validation_corroded_share": share}


def test_a_useless_model_is_reported_in_one_line():
    rows = [_row(0, 0.81, 0.07), _row(1, 0.0701, 0.07), _row(2, 0.07, 0.07), _row(3, 0.0, 0.07)]
    remarks = useless(rows)
    assert [remark.split(" finds")[0] for remark in remarks] == ["member 1", "member 2", "member 3"]
    assert "average precision 0.070 on the validation split, of which 0.070 is corroded" in remarks[1]
    assert "\n" not in remarks[0]


def test_by_default_no_threshold_chooses_the_model():
    assert TrainConfig().best_metric == "average_precision"
    assert dataclasses.replace(CONFIG, best_metric="f1_corrosion").best_metric == "f1_corrosion"
