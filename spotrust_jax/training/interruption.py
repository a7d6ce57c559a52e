"""Being asked to stop: SIGTERM for a single process, a preemption notice that all agree on where there are several."""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

from spotrust_jax.errors import RunError


class InterruptedRunError(RunError):
    """The run was asked to stop and has saved its state."""

    exit_code = 75  # EX_TEMPFAIL: to be tried again, and no code that Python, a shell or a signal gives


class Interruption:
    """Within it, SIGTERM does not end the process but is remembered.

    With several processes jax's coordination service receives the signal and chooses a moment for all of them.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._questions = 0

    def __enter__(self) -> "Interruption":
        # Handlers can be set in the main thread only; with several processes jax has one of its own.
        self._handles = jax.process_count() == 1 and threading.current_thread() is threading.main_thread()
        if self._handles:
            self._before = signal.signal(signal.SIGTERM, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGTERM, self._before)

    def requested(self) -> bool:
        """Whether to save and stop now. All processes must ask equally often."""
        self._questions += 1
        return self._signalled or multihost_utils.reached_preemption_sync_point(self._questions)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
