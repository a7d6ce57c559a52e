"""Where fine-tuning starts: which weights come from the checkpoint, which do not, and what is refused."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from spotrust_jax.checkpoints import CheckpointConfig, load_model, save_model
from spotrust_jax.config import (
    AugmentationConfig,
    DataConfig,
    FineTuningConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from spotrust_jax.errors import InputError
from spotrust_jax.models.segmenter import variable_shapes
from spotrust_jax.models.variants.variational import bayesian_means
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.checkpointing import RunCheckpoints, RunPosition
from spotrust_jax.training.checks import check_start
from spotrust_jax.training.loop import train
from spotrust_jax.training.run_directory import claim
from spotrust_jax.training.state import initial_state, state_shapes
from tests.random_photographs import Photographs
from tests.training.runs import latest

pytestmark = pytest.mark.usefixtures("small_step")

MODEL = ModelConfig("variational", "w18_small_v1", width=2)
STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONFIG = TrainConfig(
    model=MODEL,
    data=DataConfig(source="scenes", image_size=32, scenes=(4, 2)),
    augmentation=AugmentationConfig(crop_size=(32, 32)),
    optimizer=OptimizerConfig("adamw", ema_decay=0.9),
    batch_size=2,
    validation_samples=1,
    epochs=2,
)


def _save(folder, members=1, model=MODEL, untrained=()):
    """A checkpoint of random weights, for want of trained ones."""
    rng = np.random.default_rng(members)
    draw = lambda leaf: rng.uniform(0.1, 1, (members, *leaf.shape)).astype(np.float32)  # noqa: E731
    config = CheckpointConfig(model, members, *STATISTICS, inference_size=64, untrained=untrained)
    save_model(folder, jax.tree.map(draw, variable_shapes(model)), config)
    return folder


@pytest.fixture(scope="module")
def single(small_step, tmp_path_factory):
    return _save(tmp_path_factory.mktemp("start") / "single")


@pytest.fixture(scope="module")
def pair(small_step, tmp_path_factory):
    return _save(tmp_path_factory.mktemp("start") / "pair", members=2)


def _config(folder, members=1, **fine_tuning):
    return dataclasses.replace(CONFIG, members=members, fine_tuning=FineTuningConfig(str(folder), **fine_tuning))


def _assert_equal(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_backbone_is_taken_and_the_rest_is_as_without(single):
    random, state = initial_state(CONFIG), initial_state(_config(single))
    loaded, _ = load_model(single)
    for collection in ("params", "batch_stats"):
        for part in random.variables[collection]:
            expected = loaded if part == "backbone" else random.variables
            _assert_equal(state.variables[collection][part], expected[collection][part])
    _assert_equal(state.best, state.variables)
    _assert_equal(state.average, state.variables)


def test_parts_are_taken_where_asked_and_the_prior_is_centred_on_the_means(single):
    config = _config(single, head=True, bayesian=True, prior="checkpoint")
    state, (loaded, _) = initial_state(config), load_model(single)
    for part in ("backbone", "head", "bayesian_0", "bayesian_3"):
        _assert_equal(state.variables["params"][part], loaded["params"][part])
    _assert_equal(state.prior, bayesian_means(loaded["params"]))
    assert not np.allclose(
        state.variables["params"]["aleatoric"]["unit"]["conv"]["kernel"],
        loaded["params"]["aleatoric"]["unit"]["conv"]["kernel"],
    )
    shapes = state_shapes(config)
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    assert all(a.shape == b.shape for a, b in zip(jax.tree.leaves(shapes), jax.tree.leaves(state), strict=True))


def test_members_start_from_one_backbone_or_each_from_its_own_with_heads_of_their_own(single, pair):
    for folder in (single, pair):
        params = initial_state(_config(folder, members=2)).variables["params"]
        loaded = load_model(folder)[0]["params"]["backbone"]
        kernels = loaded["branch0"]["conv"]["kernel"]
        expected = np.broadcast_to(kernels, (2, *kernels.shape[1:]))
        np.testing.assert_array_equal(params["backbone"]["branch0"]["conv"]["kernel"], expected)
        first, second = params["head"]["mix"]["kernel"]
        assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("members", "fine_tuning", "model", "untrained", "words"),
    [
        (1, {}, {"width": 4}, (), "pair is a w18_small_v1 of width 2 and config.model a w18_small_v1 of width 4"),
        (1, {}, {"preset": "w18", "width": 0}, (), "is a w18_small_v1 of width 2 and config.model a w18 of width 18"),
        (3, {}, {}, (), "pair has 2 members and config.members is 3"),
        (2, {"head": True}, {"final_kernel": 3}, (), "pair has a head of final_kernel 1 and config.model one of 3"),
        (2, {"bayesian": True}, {"variant": "dropout"}, (), "bayesian=True, but config.model.variant is 'dropout'"),
        (
            2,
            {"prior": "checkpoint"},
            {},
            ("bayesian",),
            r"prior=checkpoint, but .*start comes from weights without Bayesian",
        ),
        (
            2,
            {"aleatoric": True},
            {},
            ("aleatoric", "head"),
            r"aleatoric=True, but .*start .* without an aleatoric network",
        ),
    ],
)
def test_what_cannot_be_is_one_line(pair, tmp_path, members, fine_tuning, model, untrained, words):
    folder = _save(tmp_path / "start", members=2, untrained=untrained) if untrained else pair
    config = _config(folder, members=members, **fine_tuning)
    config = dataclasses.replace(config, model=dataclasses.replace(MODEL, **model))
    with pytest.raises(InputError, match=words) as caught:
        check_start(config)
    assert "\n" not in str(caught.value)


def test_start_without_the_layers_or_members_asked_for(single, tmp_path):
    deterministic = _save(tmp_path / "start", model=dataclasses.replace(MODEL, variant="deterministic"))
    assert check_start(_config(deterministic)).members == 1
    with pytest.raises(InputError, match=r"prior=checkpoint, but .* comes from weights without Bayesian layers"):
        check_start(_config(deterministic, prior="checkpoint"))
    with pytest.raises(InputError, match=r"head=True with 2 members, and .* has one"):
        check_start(_config(single, members=2, head=True))
    with pytest.raises(InputError, match=r"nowhere is not a checkpoint: it has no config\.json"):
        check_start(_config(tmp_path / "nowhere"))


def test_channel_statistics_are_the_checkpoints_unless_given(single, tmp_path):
    data = claim(tmp_path / "a", _config(single), Photographs("ab")).data
    assert (data.mean, data.std) == STATISTICS
    given = dataclasses.replace(_config(single), data=dataclasses.replace(CONFIG.data, mean=(0.5, 0.5, 0.5)))
    data = claim(tmp_path / "b", given, Photographs("ab")).data
    assert (data.mean, data.std) == ((0.5, 0.5, 0.5), STATISTICS[1])


def test_bad_start_leaves_the_working_directory_free(single, tmp_path):
    with pytest.raises(InputError, match="of width 4"):
        claim(tmp_path, dataclasses.replace(_config(single), model=ModelConfig(width=4)), Photographs("ab"))
    assert not (tmp_path / "config.json").exists()


def test_length_of_a_cosine_stays(tmp_path):
    cosine = dataclasses.replace(CONFIG, schedule=ScheduleConfig("cosine"))
    claim(tmp_path, cosine, Photographs("ab"))
    with pytest.raises(InputError, match="epochs 2 there, 3 here"):
        claim(tmp_path, dataclasses.replace(cosine, epochs=3), Photographs("ab"))


def test_prior_and_average_are_saved_with_the_state(single, tmp_path):
    config = claim(tmp_path, _config(single, prior="checkpoint"), Photographs("ab"))
    state, grid = initial_state(config), DeviceGrid(1, tuple(jax.devices()[:1]))
    states = RunCheckpoints(tmp_path, config, grid)
    states.save(RunPosition(1, 2), grid.spread(state))
    states.close()
    position, restored = latest(config, tmp_path)
    assert position == RunPosition(1, 2)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    _assert_equal(restored, state)


def test_resumed_fine_tuning_needs_no_checkpoint_and_equals_one_without_a_break(single, tmp_path):
    model = dataclasses.replace(MODEL, variant="deterministic")
    folder = _save(tmp_path / "start", model=model)
    start = load_model(folder)[0]["params"]["backbone"]
    config = dataclasses.replace(_config(folder, freeze_epochs=1, backbone_rate=0.1), model=model, accumulation=2)
    train(config, tmp_path / "whole", jax.devices()[:1])
    train(dataclasses.replace(config, epochs=1), tmp_path / "broken", jax.devices()[:1])
    _assert_equal(latest(config, tmp_path / "broken")[1].variables["params"]["backbone"], start)
    shutil.rmtree(folder)
    train(config, tmp_path / "broken", jax.devices()[:1])
    whole, resumed = (latest(config, tmp_path / name)[1] for name in ("whole", "broken"))
    _assert_equal(resumed, whole)
    changed = resumed.variables["params"]["backbone"]["branch0"]["conv"]["kernel"]
    assert np.abs(changed - start["branch0"]["conv"]["kernel"]).max() > 0
