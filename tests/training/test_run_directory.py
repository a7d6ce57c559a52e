"""To whom a run directory belongs."""

import dataclasses

import pytest

from spotrust_jax.config import DataConfig, RunConfig, TrainConfig
from spotrust_jax.errors import InputError
from spotrust_jax.training.run_directory import claim
from tests.random_photographs import Photographs

CONFIG = TrainConfig(data=DataConfig(source="scenes"))


def test_channel_statistics_survive_a_resume_but_not_an_override(tmp_path):
    first = claim(tmp_path, CONFIG, Photographs("ab"))
    assert claim(tmp_path, CONFIG, Photographs("cd")) == first
    assert claim(tmp_path, first, Photographs("cd")) == first
    given = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, mean=(0.5, 0.5, 0.5)))
    with pytest.raises(InputError, match=r"data\.mean .* there, \[0.5, 0.5, 0.5\] here"):
        claim(tmp_path, given, Photographs("ab"))


def test_another_configuration_is_refused_with_the_difference_and_a_free_directory(tmp_path):
    run_directory = tmp_path / "run"
    claim(run_directory, CONFIG, Photographs("ab"))
    (tmp_path / "run-2").mkdir()
    with pytest.raises(InputError, match=r"\(batch_size 4 there, 2 here\): .*--workdir=.*/run-3, or") as caught:
        claim(run_directory, dataclasses.replace(CONFIG, batch_size=2), Photographs("ab"))
    assert "\n" not in str(caught.value)
    # What changes no weights may change.
    claim(run_directory, dataclasses.replace(CONFIG, epochs=9, run=RunConfig(keep_epochs=1)), Photographs("ab"))


def test_directory_that_cannot_be_made_or_read_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        claim(tmp_path / "file" / "run", CONFIG, Photographs("ab"))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        claim(tmp_path, CONFIG, Photographs("ab"))
