"""The latest state of a run on disk: what comes back, and what a restart says where bytes of it were damaged."""

import random
import shutil

import jax
import numpy as np
import pytest

from spotrust_jax.errors import InputError
from spotrust_jax.parallel import DeviceGrid
from spotrust_jax.training.checkpointing import LatestState
from tests.mutations.damage import any_bytes

# Large enough that its compressed values lie in a file of their own, not in the index.
STATE = {
    "kernel": np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32),
    "step": np.zeros([1], np.int32),
}


def _states(run_directory):
    return LatestState(run_directory, DeviceGrid(1, jax.local_devices()[:1]))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    run_directory = tmp_path_factory.mktemp("run")
    states = _states(run_directory)
    states.save(3, {"steps": 3}, DeviceGrid(1, jax.local_devices()[:1]).spread(STATE))
    states.wait()
    states.close()
    return run_directory


def _restore(run_directory):
    states = _states(run_directory)
    try:
        return states.restore(STATE)
    finally:
        states.close()


def test_comes_back(saved):
    position, state = _restore(saved)
    assert position == {"steps": 3}
    np.testing.assert_array_equal(state["kernel"], STATE["kernel"].reshape(np.shape(state["kernel"])))


def test_damaged_bytes_are_reported_in_a_line(saved, tmp_path):
    files = sorted(path.relative_to(saved) for path in (saved / "latest").rglob("*") if path.is_file())
    assert any("/d/" in str(name) for name in files)
    refused = 0
    for number, name in enumerate(files * 3):
        run_directory = tmp_path / str(number)
        shutil.copytree(saved, run_directory)
        (run_directory / name).write_bytes(any_bytes(random.Random(number), (run_directory / name).read_bytes()))
        try:
            _restore(run_directory)
        except InputError as error:
            refused += 1
            assert f"{run_directory.resolve() / 'latest'} is not the state of this run" in str(error)
            assert "\n" not in str(error) and "See full TensorStore details" not in str(error)
    assert refused
