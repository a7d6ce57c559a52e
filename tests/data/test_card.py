"""Channel statistics against numpy over all pixels at once, and the card that a data set keeps."""

import json

import numpy as np
import pytest

from spotrust_jax.config import DataConfig
from spotrust_jax.data.card import ChannelStatistics, DatasetCard, channel_statistics, check_writable, read_card
from spotrust_jax.data.datasets import open_dataset, training_statistics
from spotrust_jax.data.folder_writer import write_folder
from spotrust_jax.errors import InputError
from tests.random_photographs import CARD, Photographs


def statistics_of_all_pixels(examples):
    pixels = np.concatenate([example.image.reshape(-1, 3) for example in examples]).T.astype(np.float64, "C") / 255
    return pixels.mean(1), pixels.std(1)


def test_statistics_are_those_of_all_pixels_at_once():
    photographs = Photographs(map(str, range(40)))
    found = channel_statistics(photographs)
    mean, std = statistics_of_all_pixels(photographs)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(found.std, std, rtol=1e-13)
    assert isinstance(found, ChannelStatistics) and all(isinstance(value, float) for value in found.mean)


def test_one_value_everywhere_has_no_std_at_all():
    class Grey(Photographs):
        def __getitem__(self, index):
            return super().__getitem__(index)._replace(image=np.full((700, 900, 3), 77, np.uint8))

    found = channel_statistics(Grey("abc"))
    assert found == ((77 / 255,) * 3, (0.0,) * 3)
    with pytest.raises(InputError, match=r"the same everywhere.*check them"):
        training_statistics(DataConfig(source="scenes"), Grey("abc"))


def test_a_folder_without_a_card_is_gone_through(corrosion_photos):
    """With the test split in place of the training split, to be quick."""
    config = DataConfig(path=str(corrosion_photos))
    photographs = open_dataset(config, "test")
    mean, std = statistics_of_all_pixels(photographs)
    found = training_statistics(config, photographs)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, std, rtol=1e-12)


def test_no_photographs_have_no_statistics():
    with pytest.raises(InputError, match="no photographs"):
        channel_statistics(Photographs([]))


@pytest.mark.parametrize("card", [CARD, CARD._replace(statistics=None), DatasetCard("bare")])
def test_card_comes_back_with_the_folder(tmp_path, card):
    write_folder({"train": Photographs("ab")}, tmp_path, card)
    assert read_card(tmp_path) == card


def test_kept_statistics_are_taken_but_not_for_folds(tmp_path):
    write_folder({"train": Photographs("ab"), "validation": Photographs("c")}, tmp_path / "whole", CARD)
    whole = DataConfig(path=str(tmp_path / "whole"))
    assert training_statistics(whole, open_dataset(whole, "train")) == CARD.statistics
    folds = {f"fold_{k}": Photographs("abc"[k]) for k in range(3)}
    write_folder(folds, tmp_path / "folds", CARD)
    for fold, others in enumerate(("bc", "ac", "ab")):
        config = DataConfig(path=str(tmp_path / "folds"), fold=fold)
        found = training_statistics(config, open_dataset(config, "train"))
        np.testing.assert_allclose(found, statistics_of_all_pixels(Photographs(others)), rtol=1e-12)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"name": "x", "statistics": {"mean": [1, 2]}}', '{"name": "x", "statistics": 3}']
)
def test_what_is_no_card_is_named(tmp_path, text):
    assert read_card(tmp_path) is None
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json is not .*remove the file") as caught:
        read_card(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_written_is_said_before(tmp_path):
    for splits, card, words in (
        ({"train": Photographs("ab"), "test": Photographs("b")}, CARD, "'b' stands in train and in test"),
        ({"train": Photographs(["a\udce9"])}, CARD, "not Unicode text"),
        ({"train": Photographs(["a\nb"])}, CARD, "not Unicode text of one line"),
        ({"train": Photographs([])}, CARD, "no photographs"),
        ({"train": Photographs("a")}, CARD._replace(version="1.0"), r"'1\.0' .*give three numbers"),
    ):
        with pytest.raises(InputError, match=words):
            check_writable(splits, card)
        with pytest.raises(InputError, match=words):
            write_folder(splits, tmp_path / "out", card)
    assert not (tmp_path / "out").exists()


def test_card_is_plain_json(tmp_path):
    write_folder({"train": Photographs("ab")}, tmp_path, CARD)
    values = json.loads((tmp_path / "dataset.json").read_text("utf-8"))
    assert values["licence"] == "CC BY 4.0" and values["statistics"] == {"mean": [0.1] * 3, "std": [0.2] * 3}
