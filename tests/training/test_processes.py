"""Runs as processes of their own: killed, and two of them together."""

import signal
import socket
import time

import pytest

from tests.training.runs import assert_same_weights, latest
from tests.training.small_runs import config, finish, kill, same_weights, start

pytestmark = pytest.mark.usefixtures("small_step")


@pytest.fixture(scope="module")
def cache(compilation_cache):
    return {"JAX_COMPILATION_CACHE_DIR": compilation_cache}


@pytest.fixture(scope="module")
def undisturbed(cache, tmp_path_factory):
    """A run of one process on one device."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert finish(start(workdir, **cache)) == [0]
    return workdir


def test_killed_run_ends_with_the_same_weights(cache, undisturbed, tmp_path):
    assert kill(tmp_path / "run", 2, **cache) > 0
    assert same_weights(undisturbed, tmp_path / "run")


def _two_processes(workdir, cache, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--coordinator_address={address}", "--num_processes=2", *arguments]
    return [start(workdir, *flags, f"--process_id={number}", **cache) for number in range(2)]


def test_two_processes_equal_one_also_when_asked_to_stop_on_the_way(cache, undisturbed, tmp_path):
    workdir = tmp_path / "run"
    processes = _two_processes(workdir, cache)
    while processes[0].poll() is None and not (workdir / "latest").is_dir():
        time.sleep(0.1)
    # One of them is told; they agree on a step and both save.
    processes[1].send_signal(signal.SIGTERM)
    codes = finish(*processes)
    if codes != [0, 0]:  # unless it was through before
        assert codes == [75, 75]
        assert latest(config(), workdir)[0].steps < 20
        assert finish(*_two_processes(workdir, cache)) == [0, 0]
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == 5
    assert_same_weights(latest(config(), workdir)[1], latest(config(), undisturbed)[1])
