"""Strict reading of configurations."""

import dataclasses

import pytest
from spotrust_jax.configs import ensemble

from configs import fine_tune
from spotrust_jax.config import TrainConfig, paper_config
from spotrust_jax.errors import InputError
from spotrust_jax.fields import from_dict, require_field, to_dict
from spotrust_jax.parallel import Placement
from spotrust_jax.training.checks import check_training


def test_comes_back_as_it_was():
    assert from_dict(TrainConfig, to_dict(TrainConfig())) == TrainConfig()
    assert from_dict(TrainConfig, paper_config().to_dict()) == TrainConfig()


def test_defaults_are_the_papers():
    config = TrainConfig()
    assert config.optimizer.learning_rate == 0.003
    plateau = config.plateau
    assert (plateau.factor, plateau.patience, plateau.threshold, plateau.minimum_rate) == (0.9, 2, 0.1, 1e-4)
    assert (config.loss.kind, config.optimizer.kind, config.schedule.kind) == ("attenuated", "adam", "plateau")
    assert config.loss.positive_weight == 7.035 and config.data.image_size == 640


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batchsize": 4}, r"config\.batchsize does not exist: did you mean batch_size\?"),
        ({"batch_size": "four"}, r"config\.batch_size is 'four': give a value of type int"),
        ({"batch_size": True}, "type int"),
        ({"augmentation": {"crop_size": [64]}}, r"config\.augmentation\.crop_size is \[64\]: give 2 values"),
        ({"data": {"image_size": [480, 640]}}, r"config\.data\.image_size is \[480, 640\]: give a value of type int"),
        ({"data": 3}, "section"),
        ({"model": {"variant": "bayesian"}}, "'deterministic', 'variational', 'dropout'"),
        ({"model": {"dropout_rate": 1.0}}, "dropout_rate"),
    ],
)
def test_what_cannot_be_is_one_line(values, words):
    with pytest.raises(InputError, match=words) as caught:
        check_training(from_dict(TrainConfig, values), Placement(1, 1))
    assert "\n" not in str(caught.value)


def test_fine_tuning_asks_for_its_start():
    config = fine_tune.get_config("w18")
    with pytest.raises(InputError, match=r"freeze_epochs is set and fine_tuning\.checkpoint is empty: give its folder"):
        check_training(from_dict(TrainConfig, config.to_dict()), Placement(1, 1))
    config.fine_tuning.checkpoint = "models/start"
    assert from_dict(TrainConfig, config.to_dict()).fine_tuning.freeze_epochs == 2


def test_tuples_of_any_length():
    @dataclasses.dataclass(frozen=True)
    class Names:
        names: tuple[str, ...] = ()

    assert from_dict(Names, {"names": ["head", "aleatoric"]}).names == ("head", "aleatoric")
    assert from_dict(Names, {"names": []}).names == ()
    with pytest.raises(InputError, match=r"config\.names\[1\] is 3"):
        from_dict(Names, {"names": ["head", 3]})
    with pytest.raises(InputError, match=r"config\.names is 'head': give a list"):
        from_dict(Names, {"names": "head"})


def test_fields_are_found_by_their_path():
    require_field(TrainConfig, "config.model.preset")
    require_field(TrainConfig, "config.augmentation.crop_size[0]")
    with pytest.raises(InputError, match=r"config\.data\.mean has no single values to set: give all"):
        require_field(TrainConfig, "config.data.mean[0]")
    with pytest.raises(InputError, match=r"config\.plateau\.patienc does not exist: did you mean patience"):
        require_field(TrainConfig, "config.plateau.patienc")


def test_folds_make_an_ensemble_of_as_many_members():
    config = from_dict(TrainConfig, ensemble.get_config("kfold=5").to_dict())
    assert config.members == 5 and config.data.fold_of_member and config.model.preset == "w48"
    config = from_dict(TrainConfig, ensemble.get_config("w18").to_dict())
    assert config.members == 3 and not config.data.fold_of_member and config.model.preset == "w18"
