"""Order of batches: by seed and number alone, whoever reads them; every example once; validation padded."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from spotrust_jax.data.example import Example
from spotrust_jax.data.pipeline import placed_ahead, steps_per_epoch, training_batches, validation_batches
from spotrust_jax.errors import InputError

# Of a data set of COUNT examples, BATCHES batches of BATCH examples are a little more than three epochs.
COUNT, BATCH, BATCHES = 33_000, 66, 1_516
# The stretch of them that is read again by several processes or with workers: an epoch ends within it.
START, STRETCH = 450, 100

# Run by `python -c`, where nobody has parsed flags. It says which examples a process reads with how many workers, from
# the pictures themselves: a pixel's three bytes are the example's number.
SCRIPT = """
import itertools, json, sys
import numpy as np
from spotrust_jax.data.example import Example
from spotrust_jax.data.pipeline import training_batches

class Numbered:
    def __init__(self, count):
        self.names = range(count)
    def __len__(self):
        return len(self.names)
    def __getitem__(self, index):
        pixel = np.array([index >> 16, index >> 8 & 255, index & 255], np.uint8)
        return Example(str(index), pixel[None, None], np.zeros((1, 1), bool), "")

def order(count, batches, **options):
    rows = np.array(options.pop("rows", range(options["batch_size"])))
    stream = training_batches(Numbered(count), size=(1, 1), rows=rows, **options)
    found = list(itertools.islice(stream, batches))
    stream.close()
    return np.array([(batch.images[:, 0, 0] @ [1 << 16, 1 << 8, 1], batch.indices) for batch in found])

folder, *jobs = sys.argv[1:]
for number, job in enumerate(jobs):
    np.save(f"{folder}/{number}.npy", order(**json.loads(job)))
"""

# Number of processes, index of the one that reads, its workers.
SHARES = [(2, 0, 0), (2, 1, 0), (3, 0, 0), (3, 1, 0), (3, 2, 0), (1, 0, 1), (1, 0, 2), (3, 2, 2)]


def _rows(batch, processes, index):
    """Places in the batch that one of several processes reads."""
    return list(range(index * batch // processes, (index + 1) * batch // processes))


class Numbered:
    """Ten examples that carry their index as their colour."""

    names = tuple(f"{index:02}" for index in range(10))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        image = np.full((4, 4, 3), index, np.uint8)
        return Example(self.names[index], image, np.full((4, 4), index % 2 == 1), self.names[index])

    def __iter__(self):
        return (self[index] for index in range(10))


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """What one process reads, [batch, row, (example, place in the endless order)], and for each share its stretch."""
    folder = tmp_path_factory.mktemp("orders")
    common = {"count": COUNT, "seed": 5, "batch_size": BATCH}
    jobs = [common | {"batches": BATCHES}] + [
        common | {"first": START, "batches": STRETCH} | {"rows": _rows(BATCH, processes, index), "num_workers": workers}
        for processes, index, workers in SHARES
    ]
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder), *map(json.dumps, jobs)], check=True)
    whole, *shares = (np.load(folder / f"{number}.npy").transpose(0, 2, 1) for number in range(len(jobs)))
    return whole, dict(zip(SHARES, shares, strict=True))


def test_processes_and_workers_read_the_same_batches_from_anywhere(orders):
    whole, shares = orders
    np.testing.assert_array_equal(whole[..., 1].ravel(), np.arange(BATCHES * BATCH))
    for (processes, index, _), share in shares.items():
        expected = whole[START : START + STRETCH, _rows(BATCH, processes, index)]
        np.testing.assert_array_equal(share, expected)


def test_each_of_a_hundred_thousand_indices_once_an_epoch_in_an_order_of_its_own(orders):
    examples = orders[0][..., 0].ravel()
    assert examples.size > 100_000
    epochs = examples[: 3 * COUNT].reshape(3, COUNT)
    np.testing.assert_array_equal(np.sort(epochs), np.broadcast_to(np.arange(COUNT), (3, COUNT)))
    # Of true shuffles 0.03 would be five standard deviations; Grain's is good to 0.06 between epochs.
    correlations = np.corrcoef([np.arange(COUNT), *epochs])[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.1


def _examples(count=10, **options):
    batches = training_batches(Numbered(), batch_size=4, size=(4, 4), **{"seed": 0, **options})
    return [batch.images[:, 0, 0, 0].tolist() for batch in itertools.islice(batches, count)]


def test_seeds_differ():
    assert _examples(seed=1) != _examples(seed=0)


@pytest.mark.parametrize("first", [1, 2, 5])
def test_resumed_order_is_the_rest_of_the_whole(first):
    assert _examples(first=first, count=10 - first) == _examples()[first:]
    # Also with another number of processes than before.
    halves = [_examples(first=first, count=10 - first, rows=np.array(_rows(4, 2, index))) for index in range(2)]
    assert [left + right for left, right in zip(*halves, strict=True)] == _examples()[first:]


def test_images_and_masks_lie_together_in_the_corner_of_the_size_asked_for():
    batch = next(training_batches(Numbered(), seed=0, batch_size=5, size=(6, 8)))
    assert batch.images.shape == (5, 6, 8, 3) and batch.masks.shape == (5, 6, 8) and batch.valid.all()
    assert batch.extents.tolist() == [[4, 4]] * 5
    inside = np.zeros((6, 8), bool)
    inside[:4, :4] = True
    np.testing.assert_array_equal(batch.images[..., 0][:, inside] % 2 == 1, batch.masks[:, inside])
    assert not batch.images[:, ~inside].any() and not batch.masks[:, ~inside].any()


def test_damaged_photograph_is_the_readers_one_line():
    class Damaged(Numbered):
        def __getitem__(self, index):
            raise InputError("photograph x.jpg is empty: copy it again")

    with pytest.raises(InputError, match=r"^photograph x\.jpg is empty: copy it again$"):
        next(training_batches(Damaged(), seed=0, batch_size=4, size=(4, 4)))


@pytest.mark.parametrize("processes", [1, 2])
def test_validation_sees_every_example_once_and_marks_the_filling(processes):
    shares = [
        list(validation_batches(Numbered(), batch_size=4, size=(4, 4), rows=np.array(_rows(4, processes, index))))
        for index in range(processes)
    ]
    batches = [batch for together in zip(*shares, strict=True) for batch in together]
    seen = np.concatenate([batch.images[batch.valid, 0, 0, 0] for batch in batches])
    assert seen.tolist() == list(range(10))
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(12))
    assert np.concatenate([batch.valid for batch in batches]).tolist() == [True] * 10 + [False] * 2
    assert {batch.images.shape for batch in batches} == {(4 // processes, 4, 4, 3)}


def test_validation_of_some_examples_keeps_their_numbers():
    batches = list(validation_batches(Numbered(), batch_size=2, size=(4, 4), examples=np.array([1, 5, 8])))
    seen = np.concatenate([batch.images[batch.valid, 0, 0, 0] for batch in batches])
    numbers = np.concatenate([batch.indices[batch.valid] for batch in batches])
    assert seen.tolist() == numbers.tolist() == [1, 5, 8] and len(batches) == 2


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(10, 4, 2), (12, 4, 3), (3, 4, 1)])
def test_steps_of_an_epoch(count, batch_size, steps):
    assert steps_per_epoch(count, batch_size) == steps


def test_two_batches_are_placed_before_the_first_is_used():
    placed = []
    batches = placed_ahead(range(5), lambda batch: placed.append(batch) or 10 * batch)
    assert next(batches) == 0 and placed == [0, 1, 2]
    assert list(batches) == [10, 20, 30, 40] and placed == [0, 1, 2, 3, 4]
