"""Which photographs members get, and data that nobody can learn from."""

import dataclasses

import jax
import numpy as np
import pytest

from spotrust_jax.config import DataConfig, TrainConfig
from spotrust_jax.data.card import DatasetCard
from spotrust_jax.data.example import Example
from spotrust_jax.data.folder_writer import write_folder
from spotrust_jax.errors import InputError
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training import input_pipeline
from spotrust_jax.training.checks import check_labels
from spotrust_jax.training.input_pipeline import (
    MemberData,
    TrainingPipeline,
    at_trained_size,
    epoch_images,
    open_data,
    validation_pipeline,
)


class Uniform:
    """Photographs that carry their number as their colour; corroded in the upper half unless said otherwise."""

    def __init__(self, numbers, corroded=slice(0, 16)):
        self.numbers, self.names = list(numbers), tuple(f"{number:03}" for number in numbers)
        self._corroded = corroded

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        mask = np.zeros((32, 32), bool)
        mask[self._corroded] = True
        return Example(self.names[index], np.full((32, 32, 3), self.numbers[index], np.uint8), mask, self.names[index])

    def __iter__(self):
        return (self[index] for index in range(len(self)))


CONFIG = TrainConfig(data=DataConfig(image_size=32), members=2, batch_size=2)


def _grid(config, devices):
    return DeviceGrid(config.members, tuple(jax.devices()[:devices]))


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_members_have_orders_of_their_own_and_a_stopped_one_gets_nothing(devices):
    data = at_trained_size((MemberData(Uniform(range(6)), Uniform([7])),) * 2, CONFIG)
    grid = _grid(CONFIG, devices)

    stream = TrainingPipeline(data, CONFIG, _grid(CONFIG, 1), 0, np.array([False, False]))
    orders = [np.asarray(next(stream).images)[0, :, :, 0, 0, 0] for _ in range(6)]
    stream.close()
    first, second = (np.concatenate([order[member] for order in orders]) for member in (0, 1))
    assert sorted(first[:6]) == sorted(second[:6]) == list(range(6)) and first.tolist() != second.tolist()

    stream = TrainingPipeline(data, CONFIG, grid, 3, np.array([False, True]))
    batch = next(stream)
    stream.close()
    assert len(batch.images.sharding.device_set) == devices
    images = np.asarray(batch.images).reshape(2, 2, 32, 32, 3)  # members, then examples, whatever the devices
    assert images[0, :, 0, 0, 0].tolist() == orders[3][0].tolist() and not images[1].any()
    assert np.asarray(batch.indices).reshape(2, 2).tolist() == [[0, 1]] * 2


@pytest.mark.parametrize(("folds", "kept"), [(1, 6), (2, 3), (3, 2)])
def test_folds_share_what_is_kept(monkeypatch, folds, kept):
    example = 32 * 32 * (3 + 1)
    monkeypatch.setattr(input_pipeline, "KEPT_BYTES", 6 * example)
    members = [MemberData(Uniform(range(9)), Uniform(range(9))) for _ in range(folds)]
    config = dataclasses.replace(CONFIG, members=6)
    for split in zip(*at_trained_size(members * (6 // folds), config), strict=True):
        assert len(set(map(id, split))) == folds
        for dataset in {id(dataset): dataset for dataset in split}.values():
            first, second = list(dataset), list(dataset)
            # What is kept is the very same array the second time.
            same = [one.image is other.image for one, other in zip(first, second, strict=True)]
            assert sum(same) == kept


def test_validation_reads_shared_photographs_once_and_shorter_splits_end_blank(monkeypatch):
    read = []
    batches = input_pipeline.validation_batches

    def counted(dataset, **options):
        read.append(dataset)
        return batches(dataset, **options)

    monkeypatch.setattr(input_pipeline, "validation_batches", counted)
    shared = Uniform([1, 2, 3])
    together = at_trained_size((MemberData(shared, shared),) * 2, CONFIG)
    found = validation_pipeline(together, CONFIG, _grid(CONFIG, 1))
    seen = [np.asarray(batch.images)[0, :, :, 0, 0, 0].tolist() for batch in found]
    assert seen == [[[1, 2]] * 2, [[3, 0]] * 2] and read == [together[0].validation]
    own = at_trained_size((MemberData(shared, shared), MemberData(shared, Uniform([9]))), CONFIG)
    valid = [np.asarray(batch.valid)[0].tolist() for batch in validation_pipeline(own, CONFIG, _grid(CONFIG, 1))]
    assert valid == [[[True, True], [True, False]], [[True, False], [False, False]]]


def test_what_members_share_they_share_at_the_trained_size():
    shared, own = Uniform([1, 2]), Uniform([3])
    data = (MemberData(shared, shared), MemberData(own, shared), MemberData(shared, own))
    first, second, third = at_trained_size(data, CONFIG)
    assert first.validation is second.validation and first.training is third.training
    assert second.training is not first.training and third.validation is not first.validation
    assert second.training[0].image.shape == (32, 32, 3) and second.training[0].image[0, 0, 0] == 3
    assert first.training[1] is first.training[1]  # kept


def test_every_member_validates_on_a_fold_of_its_own(tmp_path):
    folds = {f"fold_{fold}": Uniform(range(3 * fold, 3 * fold + 3)) for fold in range(3)}
    write_folder(folds, tmp_path, DatasetCard("folds"))
    config = dataclasses.replace(
        CONFIG, members=3, data=dataclasses.replace(CONFIG.data, path=str(tmp_path), fold_of_member=True)
    )
    data = open_data(config)
    for fold, (training, validation) in enumerate(data):
        assert validation.names == folds[f"fold_{fold}"].names
        assert sorted((*training.names, *validation.names)) == [f"{number:03}" for number in range(9)]
    assert epoch_images(data) == 6
    with pytest.raises(InputError, match="has no fold 3"):
        open_data(dataclasses.replace(config, members=4))


@pytest.mark.parametrize(
    ("split", "corroded", "numbers", "words"),
    [
        ("train", slice(0, 0), [1, 2], "the masks of the training split show no corrosion: check"),
        ("validation", slice(0, 32), [1], "the masks of the validation split show nothing but corrosion"),
        ("validation", slice(0, 16), [], "the validation split has no photographs"),
    ],
)
def test_data_that_cannot_be_learnt_from_is_one_line(monkeypatch, split, corroded, numbers, words):
    sound, bad = Uniform([1]), Uniform(numbers, corroded)
    monkeypatch.setattr(input_pipeline, "open_dataset", lambda config, name: bad if name == split else sound)
    with pytest.raises(InputError, match=words):
        check_labels(open_data(CONFIG))
