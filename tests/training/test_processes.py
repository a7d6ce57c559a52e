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
    run_directory = tmp_path_factory.mktemp("undisturbed")
    assert finish(start(run_directory, **cache)) == [0]
    return run_directory


def test_killed_run_ends_with_the_same_weights(cache, undisturbed, tmp_path):
    assert kill(tmp_path / "run", 2, **cache) > 0
    assert same_weights(undisturbed, tmp_path / "run")


def _two_processes(run_directory, cache, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--coordinator_address={address}", "--num_processes=2", *arguments]
    return [start(run_directory, *flags, f"--process_id={number}", **cache) for number in range(2)]


def test_two_processes_equal_one_also_when_asked_to_stop_on_the_way(cache, undisturbed, tmp_path):
    run_directory = tmp_path / "run"
    processes = _two_processes(run_directory, cache)
    while processes[0].poll() is None and not (run_directory / "latest").is_dir():
        time.sleep(0.1)
    # One of them gets the signal; they agree on a step and both save.
    processes[1].send_signal(signal.SIGTERM)
    codes = finish(*processes)
    if codes != [0, 0]:  # unless it was through before
        assert codes == [75, 75]
        assert latest(config(), run_directory)[0].steps < 20
        assert finish(*_two_processes(run_directory, cache)) == [0, 0]
    assert len((run_directory / "metrics.jsonl").read_text().splitlines()) == 5
    assert_same_weights(latest(config(), run_directory)[1], latest(config(), undisturbed)[1])
